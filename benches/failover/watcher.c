/*
 * Runs one pool through the public interface and tells what happens, one line each, with CLOCK_MONOTONIC in nanoseconds:
 *
 *   event KIND MONO_NS NODE RULE MESSAGE
 *
 * Commands come as lines on standard input:
 *
 *   fault PID SIGNAL     takes the time, sends the signal, answers `fault MONO_NS`
 *   recover NODE         answers `done` or `refused WHY`
 *   nodes                answers `nodes NAME STATE STATUS NAME STATE STATUS ...`
 *   budget               answers `budget JSON`
 *
 * usage: watcher CONFIGURATION POOL
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <primacy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *pool;

static void failed(const char *what)
{
    char text[1024] = "";
    primacy_last_error(text, sizeof text);
    fprintf(stderr, "watcher: %s: %s\n", what, text);
    exit(1);
}

static void tell_events(primacy_events *events)
{
    primacy_event event = {.size = sizeof event};
    int more;
    while ((more = primacy_events_next(events, &event)) == 1)
        printf("event %s %llu %s %u %s\n", primacy_event_kind_name(event.kind), (unsigned long long)event.mono_ns,
               event.node[0] ? event.node : "-", event.rule, event.message);
    if (more < 0)
        failed("events");
}

static void tell_nodes(primacy_instance *instance)
{
    primacy_snapshot *snapshot;
    primacy_pool found = {.size = sizeof found};
    if (primacy_snapshot_take(instance, &snapshot) || primacy_snapshot_pool(snapshot, 0, &found))
        failed("snapshot");
    printf("nodes");
    for (uint32_t i = 0; i < found.node_count; i++) {
        primacy_node node = {.size = sizeof node};
        if (primacy_snapshot_node(snapshot, 0, i, &node))
            failed("snapshot");
        printf(" %s %s %s", node.name, primacy_state_name(node.state), primacy_status_name(node.status));
    }
    printf("\n");
    primacy_snapshot_free(snapshot);
}

static void tell_budget(primacy_instance *instance)
{
    static char text[16384];
    if (primacy_budget_json(instance, pool, text, sizeof text) < 0)
        failed("budget");
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
    printf("budget %s\n", text);
}

static void strike(int pid, int number)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int outcome = kill(pid, number);
    printf("fault %lld %s\n", (long long)at.tv_sec * 1000000000 + at.tv_nsec, outcome ? strerror(errno) : "sent");
}

static void recover(primacy_instance *instance, const char *node)
{
    char why[1024];
    if (primacy_recover_node(instance, pool, node, 0, NULL, 0) >= 0) {
        printf("done\n");
        return;
    }
    primacy_last_error(why, sizeof why);
    printf("refused %s\n", why);
}

int main(int argc, char **argv)
{
    primacy_config *config;
    primacy_instance *instance;
    primacy_events *events;
    char line[512], name[256];
    int pid, number;
    if (argc != 3) {
        fprintf(stderr, "usage: watcher CONFIGURATION POOL\n");
        return 2;
    }
    pool = argv[2];
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* Lines are read by poll and fgets together, so nothing may hide in a buffer. */
    setvbuf(stdin, NULL, _IONBF, 0);
    if (primacy_config_new(&config) || primacy_config_load_file(config, argv[1]) || primacy_instance_new(config, &instance) ||
        primacy_events_new(instance, NULL, 1024, &events) || primacy_start(instance))
        failed("start");
    primacy_config_free(config);
    struct pollfd wait[2] = {{.fd = 0, .events = POLLIN}, {.fd = primacy_events_fd(events), .events = POLLIN}};
    for (;;) {
        if (poll(wait, 2, -1) < 0)
            continue;
        if (wait[1].revents)
            tell_events(events);
        if (!wait[0].revents)
            continue;
        if (!fgets(line, sizeof line, stdin))
            break;
        if (sscanf(line, "fault %d %d", &pid, &number) == 2)
            strike(pid, number);
        else if (sscanf(line, "recover %255s", name) == 1)
            recover(instance, name);
        else if (!strcmp(line, "nodes\n"))
            tell_nodes(instance);
        else if (!strcmp(line, "budget\n"))
            tell_budget(instance);
        else
            fprintf(stderr, "watcher: not understood: %s", line);
    }
    primacy_events_free(events);
    primacy_instance_free(instance);
    return 0;
}
