/*
 * A host that forks: the parent makes the instance, eight workers start it. One decides, the others follow; the one that decides is
 * killed, again and again. What the workers see stands in memory that all share.
 */
#define _DEFAULT_SOURCE

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { WORKERS = 8, KILLS = 3, LIMIT_MS = 20000 };

static const char *const nodes[2] = {"10.9.8.7:3306", "10.9.8.8:3306"};

enum order { NOTHING, LOOK_GOOD, FAIL_FIRST, FAIL_SECOND, RECOVER_FIRST, RECOVER_SECOND, HOLD, END };

/* What one worker sees. */
struct worker {
    atomic_int ready, slot, session, done, decided;
    atomic_ullong generation, epoch;
    atomic_llong changed_ns;
    int32_t error;
};

/* What all share. */
static struct shared {
    atomic_int number, order, target; /* an order for all workers, or for the one that is named */
    atomic_llong decided_ns;
    struct worker workers[WORKERS];
    char text[512];
} *shared;

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int32_t observe(primacy_instance *p, int node, int32_t cause)
{
    struct primacy_observation seen;

    memset(&seen, 0, sizeof seen);
    seen.size = sizeof seen;
    seen.cause = cause;
    return primacy_observe(p, "orders", nodes[node], &seen);
}

/* Carries out an order as far as this worker is the one who can: 1 if it decided. */
static int obey(primacy_instance *p, primacy_selector *rw, int order)
{
    struct primacy_backend got;
    int i, bad = order == FAIL_SECOND;

    got.size = sizeof got;
    switch (order) {
    case LOOK_GOOD:
        if (observe(p, 0, PRIMACY_CAUSE_OK) != 0)
            return 0;
        observe(p, 1, PRIMACY_CAUSE_OK);
        observe(p, 0, PRIMACY_CAUSE_OK);
        return 1;
    case FAIL_FIRST:
    case FAIL_SECOND:
        if (observe(p, 1 - bad, PRIMACY_CAUSE_OK) != 0)
            return 0;
        for (i = 0; i < 50; i++) {
            atomic_store(&shared->decided_ns, now_ns());
            observe(p, bad, PRIMACY_CAUSE_REFUSED);
            if (primacy_select(rw, NULL, &got) == 0 && (int)got.slot != bad)
                return 1;
            observe(p, 1 - bad, PRIMACY_CAUSE_OK);
        }
        return 0;
    case RECOVER_FIRST:
    case RECOVER_SECOND:
        if (primacy_recover_node(p, "orders", nodes[order - RECOVER_FIRST], 0, NULL, 0) >= 0)
            return 1;
        primacy_last_error(shared->text, sizeof shared->text);
        return 0;
    default:
        return 0;
    }
}

static int work(primacy_instance *p, struct worker *me, int index)
{
    primacy_selector *rw = NULL;
    struct primacy_backend got, held;
    int number = 0;

    memset(&held, 0, sizeof held);
    got.size = held.size = sizeof got;
    atomic_store(&me->slot, -1);
    if ((me->error = primacy_start(p)) != 0 || (me->error = primacy_selector_new(p, "rw", NULL, &rw)) != 0) {
        primacy_last_error(shared->text, sizeof shared->text);
        return 1;
    }
    atomic_store(&me->ready, 1);
    while (getppid() != 1) {
        int next = atomic_load(&shared->number), target = atomic_load(&shared->target);

        if (primacy_select(rw, NULL, &got) == 0) {
            if ((int)got.slot != atomic_load(&me->slot))
                atomic_store(&me->changed_ns, now_ns());
            atomic_store(&me->generation, got.generation);
            atomic_store(&me->epoch, got.epoch);
            atomic_store(&me->slot, (int)got.slot);
        } else {
            atomic_store(&me->slot, -1);
        }
        atomic_store(&me->session, held.token == 0 ? -1 : primacy_backend_current(rw, &held));
        if (next != number) {
            int order = atomic_load(&shared->order);

            number = next;
            if (order == END)
                break;
            if (order == HOLD)
                held = got;
            else if (target < 0 || target == index)
                atomic_store(&me->decided, obey(p, rw, order));
            atomic_store(&me->done, number);
        }
        usleep(300);
    }
    primacy_selector_free(rw);
    return primacy_instance_free(p) != 0;
}

/* Until a condition holds for every worker that lives. */
#define UNTIL(condition) \
    do { \
        int64_t until_end = now_ns() + (int64_t)LIMIT_MS * 1000000; \
        int until_all; \
        do { \
            until_all = 1; \
            for (int i = 0; i < WORKERS; i++) { \
                struct worker *w = &shared->workers[i]; \
                if (alive[i] > 0 && !(condition)) \
                    until_all = 0; \
            } \
            if (!until_all) \
                usleep(500); \
        } while (!until_all && now_ns() < until_end); \
        if (!until_all) { \
            printf("# %s:%d: not within %d ms: %s\n", __FILE__, __LINE__, LIMIT_MS, #condition); \
            check_failed = 1; \
        } \
    } while (0)

static pid_t alive[WORKERS];

/* Gives an order and counts who carried it out; `last` is the one who did. */
static int give(int order, int target, int *last)
{
    int count = 0, number = atomic_load(&shared->number) + 1;

    for (int i = 0; i < WORKERS; i++)
        atomic_store(&shared->workers[i].decided, 0);
    atomic_store(&shared->order, order);
    atomic_store(&shared->target, target);
    atomic_store(&shared->number, number);
    UNTIL(atomic_load(&w->done) == number);
    for (int i = 0; i < WORKERS; i++) {
        if (alive[i] > 0 && atomic_load(&shared->workers[i].decided)) {
            count++;
            if (last != NULL)
                *last = i;
        }
    }
    return count;
}

static primacy_instance *forking(const char *cache)
{
    primacy_config *config = NULL;
    primacy_instance *p = NULL;

    if (primacy_config_new(&config) != 0 ||
        primacy_config_add_pool(config, "name:orders;primary:10.9.8.7;secondary:10.9.8.8:3306") != 0 ||
        primacy_config_set(config, "pool.orders.probe", "external") != 0 ||
        primacy_config_set(config, "pool.orders.failback", "manual") != 0 ||
        primacy_config_set(config, "on_locked", "follow") != 0 ||
        primacy_config_set(config, "cache_file", cache) != 0 || primacy_instance_new(config, &p) != 0) {
        primacy_last_error(shared->text, sizeof shared->text);
        printf("# no instance: %s\n", shared->text);
        check_failed = 1;
    }
    primacy_config_free(config);
    return p;
}

static int a_worker_who_follows(int decider)
{
    for (int i = 0; i < WORKERS; i++)
        if (alive[i] > 0 && i != decider)
            return i;
    return decider;
}

static void workers_follow_one_that_decides(void)
{
    char folder[] = "/tmp/primacy-prefork-XXXXXX", cache[sizeof folder + 16], command[sizeof folder + 16];
    primacy_instance *p;
    int decider = -1, active = 0;
    unsigned long long epoch = 0;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(cache, sizeof cache, "%s/cache", folder);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    p = forking(cache);
    if (p == NULL)
        return;
    for (int i = 0; i < WORKERS; i++) {
        fflush(stdout);
        alive[i] = fork();
        if (alive[i] == 0)
            _exit(work(p, &shared->workers[i], i));
    }
    UNTIL(atomic_load(&w->ready) == 1);
    for (int i = 0; i < WORKERS; i++)
        if (shared->workers[i].error != 0)
            printf("# worker %d: %s: %s\n", i, primacy_error_name(shared->workers[i].error), shared->text);
    if (check_failed)
        goto end;
    CHECK(give(LOOK_GOOD, -1, &decider) == 1);
    UNTIL(atomic_load(&w->slot) == 0);

    for (int round = 0; round <= KILLS; round++) {
        int64_t began, longest = 0;
        unsigned long long generation;
        int before = decider, deciders;

        /* A switch: all see it, and the sessions on the lost node end everywhere. */
        CHECK(give(HOLD, -1, NULL) == 0);
        UNTIL(atomic_load(&w->session) == PRIMACY_SESSION_STAYS);
        CHECK(give(active == 0 ? FAIL_FIRST : FAIL_SECOND, -1, &decider) == 1);
        CHECK(decider == before);
        active = 1 - active;
        UNTIL(atomic_load(&w->slot) == active && atomic_load(&w->session) == PRIMACY_SESSION_ENDS);
        for (int i = 0; i < WORKERS; i++) {
            int64_t took = atomic_load(&shared->workers[i].changed_ns) - atomic_load(&shared->decided_ns);

            if (alive[i] > 0 && took > longest)
                longest = took;
        }
        printf("# switch %d: the last of the workers saw it after %.2f ms\n", round, (double)longest / 1e6);
        /* Eight workers that look every 0.3 ms and whatever else runs share two processors. */
        CHECK(longest < 250 * 1000000LL);
        CHECK(atomic_load(&shared->workers[decider].epoch) > epoch);
        epoch = atomic_load(&shared->workers[decider].epoch);
        UNTIL(atomic_load(&w->epoch) == epoch);

        /* A command by way of a worker who follows; its outcome, and so the switch, is on disk when it returns. */
        CHECK(give(RECOVER_FIRST + (1 - active), a_worker_who_follows(decider), NULL) == 1);
        CHECK(give(LOOK_GOOD, -1, &decider) == 1);

        /* The decider is killed: another one goes on, and nobody's session ends or revives. */
        CHECK(give(HOLD, -1, NULL) == 0);
        generation = atomic_load(&shared->workers[decider].generation);
        UNTIL(atomic_load(&w->session) == PRIMACY_SESSION_STAYS && atomic_load(&w->generation) == generation);
        if (round == KILLS)
            break;
        CHECK(kill(alive[decider], SIGKILL) == 0);
        CHECK(waitpid(alive[decider], NULL, 0) == alive[decider]);
        alive[decider] = 0;
        began = now_ns();
        before = decider;
        do {
            deciders = give(LOOK_GOOD, -1, &decider);
            CHECK(deciders <= 1);
        } while (deciders == 0 && now_ns() - began < (int64_t)LIMIT_MS * 1000000);
        printf("# kill %d: another worker decides after %.1f ms\n", round, (double)(now_ns() - began) / 1e6);
        CHECK(deciders == 1 && decider != before);
        UNTIL(atomic_load(&w->session) == PRIMACY_SESSION_STAYS && atomic_load(&w->generation) == generation);
        UNTIL(atomic_load(&w->slot) == active && atomic_load(&w->epoch) >= epoch);
    }
end:
    atomic_store(&shared->order, END);
    atomic_store(&shared->number, atomic_load(&shared->number) + 1);
    for (int i = 0; i < WORKERS; i++) {
        int status = -1;

        if (alive[i] > 0) {
            CHECK(waitpid(alive[i], &status, 0) == alive[i]);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
    }
    CHECK(primacy_instance_free(p) == 0);
    CHECK(system(command) == 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 99;
    atomic_store(&shared->target, -1);
    RUN(workers_follow_one_that_decides);
    return check_failures;
}
