/*
 * Watches the pools of a configuration with a thread of the library's own, and prints every event until SIGINT or SIGTERM.
 *
 *     watch CONFIG [SECONDS]
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <primacy.h>

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
    (void)signal_number;
    ended = 1;
}

/* Says why the last call failed and gives the exit code. */
static int failed(const char *what, int32_t error)
{
    char text[1024];

    primacy_last_error(text, sizeof text);
    fprintf(stderr, "watch: %s: %s: %s\n", what, primacy_error_name(error), text);
    return 1;
}

static void print_pools(primacy_instance *p)
{
    primacy_snapshot *snapshot;
    struct primacy_pool pool;
    struct primacy_node node;
    uint32_t i, k;

    if (primacy_snapshot_take(p, &snapshot) < 0)
        return;
    pool.size = sizeof pool;
    node.size = sizeof node;
    for (i = 0; primacy_snapshot_pool(snapshot, i, &pool) == 0; i++) {
        printf("pool %s: %s\n", pool.name, primacy_pool_status_name(pool.status));
        for (k = 0; primacy_snapshot_node(snapshot, i, k, &node) == 0; k++)
            printf("  %-9s %-24s %-11s %-14s %s\n", primacy_node_type_name(node.node_type), node.name,
                   primacy_status_name(node.status), primacy_state_name(node.state), node.message);
    }
    primacy_snapshot_free(snapshot);
}

static void print_event(const struct primacy_event *event)
{
    char when[32];
    time_t seconds = (time_t)(event->wall_ms / 1000);
    struct tm parts;

    localtime_r(&seconds, &parts);
    strftime(when, sizeof when, "%H:%M:%S", &parts);
    printf("%s.%03u %-7s %-11s %s %s: %s", when, (unsigned)(event->wall_ms % 1000),
           primacy_severity_name(event->severity), primacy_event_kind_name(event->kind), event->pool, event->node,
           event->message);
    if (event->rule != 0)
        printf(" (rule %u)", (unsigned)event->rule);
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    primacy_config *config = NULL;
    primacy_instance *p = NULL;
    primacy_events *events = NULL;
    struct primacy_event event;
    struct sigaction action;
    struct pollfd watched;
    time_t until;
    int32_t error;
    int code = 0;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: watch CONFIG [SECONDS]\n");
        return 2;
    }
    until = argc == 3 ? time(NULL) + atoi(argv[2]) : (time_t)0;
    memset(&action, 0, sizeof action);
    action.sa_handler = end;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    if ((error = primacy_config_new(&config)) < 0 || (error = primacy_config_load_file(config, argv[1])) < 0)
        code = failed(argv[1], error);
    else if ((error = primacy_instance_new(config, &p)) < 0)
        code = failed("instance", error);
    else if ((error = primacy_events_new(p, NULL, 1024, &events)) < 0)
        code = failed("events", error);
    else if ((error = primacy_start(p)) < 0)
        code = failed("start", error);
    primacy_config_free(config);

    if (code == 0) {
        print_pools(p);
        watched.fd = primacy_events_fd(events);
        watched.events = POLLIN;
        event.size = sizeof event;
    }
    while (code == 0 && !ended && (until == 0 || time(NULL) < until)) {
        if (poll(&watched, 1, 500) < 0 && errno != EINTR)
            break;
        while ((error = primacy_events_next(events, &event)) > 0)
            print_event(&event);
        if (error < 0)
            code = failed("events", error);
    }
    if (code == 0)
        print_pools(p);
    primacy_events_free(events);
    primacy_instance_free(p);
    return code;
}
