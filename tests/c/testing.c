/* What only the test build of the library can show: panics, and handles used after they were freed. Links its static archive. */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <unistd.h>

#include "check.h"

int32_t primacy_testing_panic(primacy_instance *p);
int32_t primacy_testing_panic_engine(primacy_instance *p);

/* After the panic: what decides answers PRIMACY_E_PANIC, what looks works. */
static void check_poisoned(primacy_instance *p, primacy_events *events, const char *words)
{
    primacy_snapshot *snapshot = NULL;
    struct primacy_pool pool;
    struct primacy_event event;

    CHECK_CALL(PRIMACY_E_PANIC, primacy_recover_node(p, "orders", "10.0.1.11", 0, NULL, 0));
    CHECK(check_error_says(words));
    CHECK_CALL(PRIMACY_E_PANIC, check_observe(p, "10.0.1.11", PRIMACY_CAUSE_OK, NULL));
    CHECK_CALL(PRIMACY_E_PANIC, primacy_cycle(p, "orders", NULL));
    CHECK_CALL(PRIMACY_E_PANIC, primacy_start(p));
    CHECK(check_error_says(words));
    pool.size = sizeof pool;
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    CHECK_CALL(0, primacy_snapshot_pool(snapshot, 0, &pool));
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    event.size = sizeof event;
    while (primacy_events_next(events, &event) == 1)
        ;
    CHECK_CALL(0, primacy_events_free(events));
    CHECK_CALL(0, primacy_stop(p));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void a_panic_in_a_call_poisons_the_instance(void)
{
    primacy_instance *p = check_instance();
    primacy_events *events = NULL;

    CHECK_CALL(0, primacy_events_new(p, NULL, 8, &events));
    CHECK_CALL(PRIMACY_E_PANIC, primacy_testing_panic(p));
    CHECK(check_error_says("planted in a call") && check_error_says("testing.rs"));
    check_poisoned(p, events, "planted in a call");
}

static void a_panic_in_the_engine_poisons_the_instance(void)
{
    primacy_instance *p = check_instance();
    primacy_events *events = NULL;

    CHECK_CALL(0, primacy_events_new(p, NULL, 8, &events));
    CHECK_CALL(0, primacy_testing_panic_engine(p));
    CHECK_CALL(PRIMACY_E_PANIC, check_observe(p, "10.0.1.11", PRIMACY_CAUSE_OK, NULL));
    check_poisoned(p, events, "planted");
}

static void other_instances_live_on(void)
{
    primacy_instance *p = check_instance(), *other = check_instance();

    CHECK_CALL(PRIMACY_E_PANIC, primacy_testing_panic(p));
    CHECK_CALL(0, check_observe(other, "10.0.1.11", PRIMACY_CAUSE_OK, NULL));
    CHECK_CALL(0, primacy_instance_free(other));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void freed_handles_are_found(void)
{
    primacy_config *config = NULL;
    primacy_instance *p = check_instance();
    primacy_snapshot *snapshot = NULL;
    primacy_events *events = NULL;
    struct primacy_event event;

    event.size = sizeof event;
    CHECK_CALL(0, primacy_config_new(&config));
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    CHECK_CALL(0, primacy_events_new(p, NULL, 8, &events));
    CHECK_CALL(0, primacy_config_free(config));
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    CHECK_CALL(0, primacy_events_free(events));
    CHECK_CALL(0, primacy_instance_free(p));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_config_set(config, "a", "b"));
    CHECK(check_error_says("freed"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_json(snapshot, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_events_next(events, &event));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_stop(p));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_instance_free(p));
    CHECK(check_error_says("freed"));
}

int main(void)
{
    /* Nothing may be printed about a panic: everything that comes from elsewhere than this file's printf is a failure. */
    int quiet[2], kept = dup(STDERR_FILENO);
    char noise[256];
    ssize_t n;

    if (pipe(quiet) != 0 || dup2(quiet[1], STDERR_FILENO) < 0)
        return 99;
    RUN(a_panic_in_a_call_poisons_the_instance);
    RUN(a_panic_in_the_engine_poisons_the_instance);
    RUN(other_instances_live_on);
    RUN(freed_handles_are_found);
    dup2(kept, STDERR_FILENO);
    close(quiet[1]);
    n = read(quiet[0], noise, sizeof noise);
    if (n > 0)
        printf("# printed to stderr: %.*s\n", (int)n, noise);
    printf("%s nothing_is_printed\n", n == 0 ? "ok" : "not ok");
    return check_failures + (n != 0);
}
