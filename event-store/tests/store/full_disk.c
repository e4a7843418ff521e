/* A disk that is full for as long as the file named by GUILDHALL_FULL_DISK exists: what would make a file longer fails
   as it does on a full disk, what is there already can be written over. Loaded before a server's libraries. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int no_room(int fd, off_t end) {
    const char *full = getenv("GUILDHALL_FULL_DISK");
    struct stat file;
    return full && access(full, F_OK) == 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && end > file.st_size;
}

static off_t length(const struct iovec *parts, int count) {
    off_t sum = 0;
    for (int i = 0; i < count; i++) sum += parts[i].iov_len;
    return sum;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FULL return errno = ENOSPC, -1

#define PWRITE(name)                                                        \
    ssize_t name(int fd, const void *bytes, size_t count, off_t at) {       \
        if (no_room(fd, at + (off_t)count)) FULL;                           \
        return NEXT(name)(fd, bytes, count, at);                            \
    }
#define PWRITEV(name)                                                       \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t at) {  \
        if (no_room(fd, at + length(parts, count))) FULL;                   \
        return NEXT(name)(fd, parts, count, at);                            \
    }
#define FALLOCATE(name)                                                     \
    int name(int fd, off_t at, off_t count) {                               \
        if (no_room(fd, at + count)) return ENOSPC;                         \
        return NEXT(name)(fd, at, count);                                   \
    }

PWRITE(pwrite)
PWRITE(pwrite64)
PWRITEV(pwritev)
PWRITEV(pwritev64)
FALLOCATE(posix_fallocate)
FALLOCATE(posix_fallocate64)
