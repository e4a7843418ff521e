//! The log grows with history, whoever makes it grow, and says the same as a second implementation.

use guildhall_integrity::sign_now;

use crate::world::{World, keys, root, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn every_checkpoint_has_the_root_that_another_implementation_computes() {
    let world = World::new().await;
    for (of, events) in [(1, 1), (2, 3), (1, 255), (1, 1), (2, 700), (1, 4_500)] {
        world.record(tenant(of), events).await;
        let signed = sign_now(&world.store, tenant(of), &keys()).await.unwrap().unwrap().statement;
        let tree = world.other_tree(tenant(of)).await;
        assert_eq!((signed.tree_size, signed.root.0), (tree.len(), root(&tree)));
        assert_eq!(signed.position, world.store.head().await.unwrap());
    }
}
