/*
 * Preloaded before a test: ends the process at the first write to a socket that could raise SIGPIPE, and at the end says how many
 * writes it saw when PRIMACY_SPY names a file.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int seen;

static void look(int fd, int flags, const char *call)
{
    struct stat what;

    if (fstat(fd, &what) != 0 || !S_ISSOCK(what.st_mode))
        return;
    atomic_fetch_add(&seen, 1);
    if ((flags & MSG_NOSIGNAL) == 0) {
        fprintf(stderr, "# spy: %s to a socket without MSG_NOSIGNAL\n", call);
        abort();
    }
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    look(fd, flags, "sendmsg");
    return syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t sendto(int fd, const void *bytes, size_t n, int flags, __CONST_SOCKADDR_ARG to, socklen_t length)
{
    look(fd, flags, "sendto");
    return syscall(SYS_sendto, fd, bytes, n, flags, to, length);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    look(fd, flags, "send");
    return syscall(SYS_sendto, fd, bytes, n, flags, NULL, 0);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    look(fd, 0, "write");
    return syscall(SYS_write, fd, bytes, n);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    look(fd, 0, "writev");
    return syscall(SYS_writev, fd, parts, n);
}

__attribute__((destructor)) static void say(void)
{
    const char *path = getenv("PRIMACY_SPY");
    FILE *file = path != NULL ? fopen(path, "w") : NULL;

    if (file != NULL) {
        fprintf(file, "%d\n", atomic_load(&seen));
        fclose(file);
    }
}
