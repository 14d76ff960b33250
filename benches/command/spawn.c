/* How long a whole process takes, from its making to its end: spawn COUNT PROGRAM [ARGUMENT...]
 * prints one time in microseconds for each of COUNT runs, one after the other. A small program makes its children cheaply;
 * their output goes nowhere. A run that ends badly ends this one, with its status. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: spawn COUNT PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    long count = strtol(argv[1], NULL, 10);
    for (long i = 0; i < count; i++) {
        pid_t child;
        int status;
        double began = now();
        int failed = posix_spawn(&child, argv[2], &actions, NULL, argv + 2, environ);
        if (failed) {
            fprintf(stderr, "spawn: %s: %s\n", argv[2], strerror(failed));
            return 1;
        }
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fprintf(stderr, "spawn: %s ended with status %d\n", argv[2], status);
            return 1;
        }
        printf("%.1f\n", now() - began);
    }
    return 0;
}
