use deadpool_postgres::Client;
use guildhall_aggregates::{
    MemberId,
    member::{MemberEvent, PrivacySwitches},
    membership::MembershipStatus,
};
use guildhall_projections::{
    Directory,
    directory::{self, Entry, Filter, PageError, Viewer},
};
use uuid::Uuid;

use crate::{
    story::{self, activated, affiliated, applied, plan_created},
    support::{World, day, id, tenant},
};

const NAMES: [(&str, &str); 6] = [
    ("Ada Lovelace", "London"),
    ("Grace Hopper", "Arlington"),
    ("Zoë Ångström", "Malmö"),
    ("John Smith", "London"),
    ("Annie Easley", "Birmingham"),
    ("Éva Smithson", "Győr"),
];

/// Members 1 to 6 of one association, and a namesake in another.
async fn world() -> (World, Client) {
    let world = World::open().await;
    let here = tenant(1);
    for (number, (name, city)) in (1..).zip(NAMES) {
        let registered = story::person(&world, here, id(number), name, city).await;
        world.record(here, id(number), &[registered]).await;
    }
    let namesake = story::person(&world, tenant(2), id(1), "Ada Lovelace", "London").await;
    world.record(tenant(2), id(1), &[namesake]).await;
    world.record(here, id(10), &[plan_created("regular")]).await;
    world.record(here, id(11), &[plan_created("student")]).await;
    world.record(here, id(20), &[applied(id(1), id(10), "2025-01-01"), activated("2025-01-01", "2025-12-31")]).await;
    world.record(here, id(21), &[applied(id(2), id(11), "2025-01-01"), activated("2025-01-01", "2026-12-31")]).await;
    let credential = |name: &str| MemberEvent::CredentialAdded { credential: name.to_owned() };
    world.record(here, id(2), &[credential("RN"), credential("CAE"), affiliated(id(5))]).await;
    world.record(here, id(3), &[credential("RN")]).await;
    world.project::<Directory>().await;
    let client = world.client().await;
    (world, client)
}

async fn look(client: &Client, viewer: Viewer, filter: Filter) -> Vec<Entry> {
    let page = directory::page(client, tenant(1), day("2026-01-15"), viewer, &filter, None, 50).await;
    page.expect("the directory is readable").members
}

async fn found(client: &Client, filter: Filter) -> Vec<String> {
    look(client, Viewer::Staff, filter).await.into_iter().filter_map(|entry| entry.display_name).collect()
}

fn named(name: &str) -> Filter {
    Filter { name: Some(name.to_owned()), ..Filter::default() }
}

#[tokio::test]
async fn names_are_sorted_by_family_name_and_accents_do_not_matter() {
    let (_world, client) = world().await;
    let all = found(&client, Filter::default()).await;
    let sorted = ["Zoë Ångström", "Annie Easley", "Grace Hopper", "Ada Lovelace", "John Smith", "Éva Smithson"];
    assert_eq!(all, sorted);
}

#[tokio::test]
async fn a_name_is_found_by_the_beginning_of_any_word() {
    let (_world, client) = world().await;
    assert_eq!(found(&client, named("lov")).await, ["Ada Lovelace"]);
    assert_eq!(found(&client, named("ADA L")).await, ["Ada Lovelace"]);
    assert_eq!(found(&client, named("smith")).await, ["John Smith", "Éva Smithson"]);
    assert_eq!(found(&client, named("lovelace ada")).await, ["Ada Lovelace"]);
}

#[tokio::test]
async fn a_name_is_found_without_its_accents_and_in_spite_of_a_typing_error() {
    let (_world, client) = world().await;
    assert_eq!(found(&client, named("angstrom")).await, ["Zoë Ångström"]);
    assert_eq!(found(&client, named("Ångstrom")).await, ["Zoë Ångström"]);
    assert_eq!(found(&client, named("lovelase")).await, ["Ada Lovelace"]);
    assert_eq!(found(&client, named("smiht")).await.first().map(String::as_str), Some("John Smith"));
    assert_eq!(found(&client, named("qqqqqq")).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_typed_is_never_taken_for_a_pattern() {
    let (_world, client) = world().await;
    for typed in ["%", "_", "\\", "'; DROP TABLE read.directory_member; --"] {
        assert_eq!(found(&client, named(typed)).await, Vec::<String>::new(), "{typed}");
    }
}

#[tokio::test]
async fn filters_narrow_by_city_credential_organization_plan_and_status() {
    let (_world, client) = world().await;
    let everybody = Filter::default();
    assert_eq!(found(&client, Filter { city: Some("malmo".into()), ..everybody.clone() }).await, ["Zoë Ångström"]);
    let nurses = Filter { credential: Some("RN".into()), ..everybody.clone() };
    assert_eq!(found(&client, nurses.clone()).await, ["Zoë Ångström", "Grace Hopper"]);
    let there = Filter { organization: Some(MemberId::new(id(5))), ..everybody.clone() };
    assert_eq!(found(&client, there).await, ["Grace Hopper"]);
    let students = Filter { plan: Some("student".into()), ..everybody.clone() };
    assert_eq!(found(&client, students.clone()).await, ["Grace Hopper"]);
    // On 15 January 2026 the year 2025 is in its month of grace.
    let in_grace = Filter { status: Some(MembershipStatus::Grace), ..everybody.clone() };
    assert_eq!(found(&client, in_grace).await, ["Ada Lovelace"]);
    let none = Filter { status: Some(MembershipStatus::Grace), ..students };
    assert_eq!(found(&client, none).await, Vec::<String>::new());
    assert_eq!(found(&client, Filter { name: Some("gra".into()), ..nurses }).await, ["Grace Hopper"]);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_or_a_repetition() {
    let (_world, client) = world().await;
    for filter in [Filter::default(), named("s")] {
        let today = day("2026-01-15");
        let all = directory::page(&client, tenant(1), today, Viewer::Staff, &filter, None, 200).await.unwrap();
        assert_eq!(all.next, None);
        let (mut after, mut members) = (None, Vec::new());
        loop {
            let page = directory::page(&client, tenant(1), today, Viewer::Staff, &filter, after, 1).await.unwrap();
            assert!(page.members.len() <= 1);
            members.extend(page.members);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(members.len() > 1);
        assert_eq!(members, all.members);
    }
}

#[tokio::test]
async fn a_page_after_somebody_who_is_gone_is_refused() {
    let (_world, client) = world().await;
    let gone = Some(Uuid::nil());
    let filter = Filter::default();
    let page = directory::page(&client, tenant(1), day("2026-01-15"), Viewer::Staff, &filter, gone, 1).await;
    assert!(matches!(page, Err(PageError::StaleCursor)), "{page:?}");
}

#[tokio::test]
async fn everybody_sees_what_the_member_lets_them() {
    let (world, client) = world().await;
    let switches = |show_email, show_in_directory, public_profile| MemberEvent::PrivacyChanged {
        privacy: PrivacySwitches { show_email, show_in_directory, public_profile, ..PrivacySwitches::default() },
    };
    let here = tenant(1);
    world.record(here, id(1), &[switches(true, true, true), story::profile(&world, here, id(1)).await]).await;
    world.record(here, id(2), &[switches(true, false, true)]).await;
    world.project::<Directory>().await;

    let public = look(&client, Viewer::Public, Filter::default()).await;
    assert_eq!(public.iter().map(|entry| entry.member_id).collect::<Vec<_>>(), [id(1)]);
    assert_eq!((&public[0].email, &public[0].member_number, public[0].completeness), (&None, &None, None));
    assert!(public[0].memberships.is_empty() && !public[0].accepts_messages);
    assert_eq!(public[0].job_title.as_deref(), Some("Analyst"));

    let asked = Filter { status: Some(MembershipStatus::Grace), ..Filter::default() };
    assert!(look(&client, Viewer::Public, asked).await.is_empty(), "memberships are not for the public");

    let fellow = Viewer::Member(MemberId::new(id(3)));
    let seen = look(&client, fellow, Filter::default()).await;
    assert!(seen.iter().all(|entry| entry.member_id != id(2)), "not listed");
    let ada = seen.iter().find(|entry| entry.member_id == id(1)).unwrap();
    assert_eq!((ada.email.as_deref(), ada.phone.as_deref()), (Some("ada@example.org"), None));
    let john = seen.iter().find(|entry| entry.member_id == id(4)).unwrap();
    assert_eq!((&john.email, &john.member_number), (&None, &None));

    let today = day("2026-01-15");
    let grace = MemberId::new(id(2));
    assert_eq!(directory::member(&client, here, today, fellow, grace).await.unwrap(), None);
    let herself = directory::member(&client, here, today, Viewer::Member(grace), grace).await.unwrap().unwrap();
    assert_eq!(herself.email.as_deref(), Some("grace@example.org"));
    assert_eq!(herself.credentials, ["CAE", "RN"]);
    let staff = directory::member(&client, here, today, Viewer::Staff, MemberId::new(id(1))).await.unwrap().unwrap();
    assert_eq!((staff.completeness, staff.memberships[0].status.as_str()), (Some(80), "grace"));
}

#[tokio::test]
async fn nothing_of_another_association_is_found() {
    let (_world, client) = world().await;
    let today = day("2026-01-15");
    let there = directory::page(&client, tenant(2), today, Viewer::Staff, &Filter::default(), None, 50).await.unwrap();
    assert_eq!(there.members.len(), 1);
    assert!(there.members[0].memberships.is_empty(), "the membership of the same id is of another association");
    let stranger = MemberId::new(id(4));
    assert_eq!(directory::member(&client, tenant(2), today, Viewer::Staff, stranger).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_stays_of_a_member_who_was_forgotten() {
    let (world, client) = world().await;
    world.record(tenant(1), id(2), &[MemberEvent::MemberForgotten {}]).await;
    world.store.vault().forget(tenant(1), MemberId::new(id(2)).into()).await.unwrap();
    world.project::<Directory>().await;
    assert_eq!(found(&client, named("hopper")).await, Vec::<String>::new());
    let rows = world.dump(&["directory_member"]).await;
    for trace in ["Hopper", "hopper", "grace", "Arlington", "RN,CAE", "M-Hopper"] {
        assert!(rows.iter().all(|row| !row.contains(trace)), "{trace} stays in {rows:?}");
    }
    let staff = directory::member(&client, tenant(1), day("2026-01-15"), Viewer::Staff, MemberId::new(id(2))).await;
    assert!(staff.unwrap().unwrap().forgotten);
    // Folded again, with the key gone before the first event is read, it comes to the same.
    let options = guildhall_projections::RebuildOptions::default();
    let report = world.rebuild::<Directory>(options).await;
    assert!(report.unwrap().equal());
}
