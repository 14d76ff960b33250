/*
 * The library inside of a host's own epoll loop: no thread but main's. Lines from stdin are commands, each answered by the
 * ACTIVE node of every pool; "quit" or the end of input ends it.
 *
 *     loop CONFIG
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <primacy.h>

static int failed(const char *what, int32_t error)
{
    char text[1024];

    primacy_last_error(text, sizeof text);
    fprintf(stderr, "loop: %s: %s: %s\n", what, primacy_error_name(error), text);
    return 1;
}

static void print_active(primacy_instance *p)
{
    primacy_snapshot *snapshot;
    struct primacy_pool pool;
    struct primacy_node node;
    uint32_t i;

    if (primacy_snapshot_take(p, &snapshot) < 0)
        return;
    pool.size = sizeof pool;
    node.size = sizeof node;
    for (i = 0; primacy_snapshot_pool(snapshot, i, &pool) == 0; i++)
        printf("%s: %s\n", pool.name, primacy_snapshot_active(snapshot, i, &node) == 1 ? node.name : "nobody");
    fflush(stdout);
    primacy_snapshot_free(snapshot);
}

static int watch(int loop, int fd)
{
    struct epoll_event wanted;

    memset(&wanted, 0, sizeof wanted);
    wanted.events = EPOLLIN;
    wanted.data.fd = fd;
    return epoll_ctl(loop, EPOLL_CTL_ADD, fd, &wanted);
}

int main(int argc, char **argv)
{
    primacy_config *config = NULL;
    primacy_instance *p = NULL;
    struct epoll_event ready[8];
    char line[256];
    int32_t error, fd = -1;
    int loop, count, i, code = 0, running = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: loop CONFIG\n");
        return 2;
    }
    if ((error = primacy_config_new(&config)) < 0 || (error = primacy_config_load_file(config, argv[1])) < 0)
        code = failed(argv[1], error);
    else if ((error = primacy_instance_new(config, &p)) < 0)
        code = failed("instance", error);
    else if ((fd = primacy_fd(p)) < 0)
        code = failed("descriptor", fd);
    primacy_config_free(config);
    if (code != 0) {
        primacy_instance_free(p);
        return code;
    }

    loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop < 0 || watch(loop, fd) < 0 || watch(loop, STDIN_FILENO) < 0) {
        perror("loop: epoll");
        primacy_instance_free(p);
        return 1;
    }
    while (running) {
        count = epoll_wait(loop, ready, 8, -1);
        if (count < 0 && errno != EINTR)
            break;
        for (i = 0; i < count; i++) {
            if (ready[i].data.fd == fd) {
                /* Never blocks; what is left over keeps the descriptor readable. */
                if ((error = primacy_dispatch(p)) < 0) {
                    code = failed("dispatch", error);
                    running = 0;
                }
            } else {
                ssize_t got = read(STDIN_FILENO, line, sizeof line - 1);

                if (got <= 0 || strncmp(line, "quit", 4) == 0)
                    running = 0;
                else
                    print_active(p);
            }
        }
    }
    close(loop);
    primacy_instance_free(p);
    return code;
}
