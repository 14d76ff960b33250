/*
 * Eight threads that select, check and release while the pool changes under them. The number of rounds is an argument; "race" does
 * what no host may. It is run plainly, under memcheck, and under ThreadSanitizer (tests/c/tsan).
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <unistd.h>

#include "selecting.h"

#define THREADS 8

static primacy_instance *p;
static primacy_selector *watched; /* for primacy_backend_current alone, which any thread may call */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ended, wrong;          /* under `lock` */
static long selections, checks;   /* under `lock` */

static int is_over(void)
{
    int over;

    pthread_mutex_lock(&lock);
    over = ended;
    pthread_mutex_unlock(&lock);
    return over;
}

static void *work(void *number)
{
    const char *service = *(int *)number % 2 == 0 ? "rw" : "ro";
    primacy_selector *own = NULL;
    struct primacy_backend held[8], next;
    struct primacy_select_options wish = wish_of();
    uint64_t generations[3] = {0, 0, 0};
    int over[8], i, n = 0, bad = 0;
    long selected = 0, checked = 0;

    memset(held, 0, sizeof held);
    memset(over, 0, sizeof over);
    if (primacy_selector_new(p, service, NULL, &own) != 0)
        bad++;
    while (bad == 0 && !is_over()) {
        int32_t got;

        next.size = sizeof next;
        got = primacy_select(own, n % 5 == 0 ? &wish : NULL, &next);
        selected++;
        if (got == 0) {
            /* A slot's generation only rises, and a node that is given is whole. */
            bad += next.slot > 2 || next.generation < generations[next.slot % 3] || next.addrlen != sizeof(struct sockaddr_in);
            bad += next.address.in4.sin_port != held[n % 8].address.in4.sin_port && held[n % 8].addrlen != 0;
            generations[next.slot % 3] = next.generation;
            if (held[n % 8].addrlen != 0)
                bad += primacy_release(own, &held[n % 8]) != 0;
            held[n % 8] = next;
            over[n % 8] = 0;
        } else {
            bad += got != PRIMACY_E_NO_BACKEND && got != PRIMACY_E_PAUSED;
        }
        for (i = 0; i < 8; i++) {
            if (held[i].addrlen == 0)
                continue;
            /* What has ended does not come back. */
            got = primacy_backend_current(own, &held[i]);
            bad += got < 0 || (over[i] && got != PRIMACY_SESSION_ENDS);
            over[i] = got == PRIMACY_SESSION_ENDS;
            checked++;
        }
        /* Another thread's selector, of the service rw, asked about anything. */
        bad += primacy_backend_current(watched, &held[n % 8]) < 0 && held[n % 8].addrlen != 0;
        if (n % 16 == 0 && got >= 0 && held[0].addrlen != 0)
            bad += primacy_report(own, &held[0], n % 48 == 0 ? PRIMACY_REPORT_CONNECT_FAILED : PRIMACY_REPORT_CONNECTED) != 0;
        /* Readers come and go while tables are published. */
        if (n % 32 == 31) {
            primacy_selector *other = NULL;
            if (primacy_selector_new(p, service, NULL, &other) == 0) {
                bad += primacy_selector_free(own) != 0;
                own = other;
            } else {
                bad++;
            }
        }
        n++;
    }
    bad += primacy_selector_free(own) != 0;
    pthread_mutex_lock(&lock);
    wrong += bad;
    selections += selected;
    checks += checked;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void give_the_role(const char *node)
{
    struct primacy_override_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.set = PRIMACY_OVERRIDE_STATE;
    options.state = PRIMACY_STATE_ACTIVE;
    options.reason = "test";
    CHECK(primacy_override(p, "orders", node, &options, 0, NULL, 0) > 0);
    CHECK(primacy_clear_override(p, "orders", node, 0, NULL, 0) > 0);
}

static int rounds = 2000;

static void threads_select_while_the_pool_changes(void)
{
    static const char rr[] = THREE("[pool.orders.service.rw]\nrole = \"active\"\non_demotion = \"kill\"\n"
                                   "[pool.orders.service.ro]\nrole = \"standby\"\nfallback = \"active\"\n");
    static const char lc[] =
        THREE("[pool.orders.service.rw]\nrole = \"active\"\non_demotion = \"kill\"\n"
              "[pool.orders.service.ro]\nrole = \"standby\"\nfallback = \"active\"\nstrategy = \"least-connections\"\n");
    primacy_config *one = config_of(rr), *other = config_of(lc);
    primacy_selector *own;
    struct primacy_backend backend;
    pthread_t threads[THREADS];
    int numbers[THREADS], i;

    p = settled(rr);
    watched = selector_of(p, "rw");
    own = selector_of(p, "rw");
    for (i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (i = 0; i < rounds; i++) {
        const char *to = i % 2 == 0 ? B : A;
        cycle_of(p, three, PRIMACY_CAUSE_OK, PRIMACY_CAUSE_OK);
        give_the_role(to);
        /* Once the call has answered, nobody is sent to the old node. */
        CHECK(strcmp(chosen(own, &backend), to) == 0);
        CHECK_CALL(PRIMACY_SESSION_STAYS, primacy_backend_current(watched, &backend));
        if (i % 10 == 9)
            CHECK_CALL(0, primacy_reload(p, i % 20 == 9 ? other : one));
    }
    pthread_mutex_lock(&lock);
    ended = 1;
    pthread_mutex_unlock(&lock);
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("# %d switches, %ld selections, %ld checks\n", rounds, selections, checks);
    CHECK(wrong == 0 && selections > THREADS && checks > THREADS);
    CHECK_CALL(0, primacy_selector_free(own));
    CHECK_CALL(0, primacy_selector_free(watched));
    CHECK_CALL(0, primacy_instance_free(p));
    CHECK_CALL(0, primacy_config_free(one));
    CHECK_CALL(0, primacy_config_free(other));
}

/* The instance is stopped and freed under selectors that go on. */
static void threads_outlive_the_instance(void)
{
    struct primacy_backend backend;
    pthread_t threads[THREADS];
    primacy_selector *own;
    int numbers[THREADS], i;
    int32_t got;

    ended = wrong = 0;
    p = settled(THREE(""));
    watched = selector_of(p, "rw");
    own = selector_of(p, "ro");
    for (i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    CHECK_CALL(0, primacy_stop(p));
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    /* Each thread met the end once: its next call answered PRIMACY_E_STOPPED, which it counts as wrong. */
    CHECK(wrong >= THREADS);
    backend.size = sizeof backend;
    CHECK_CALL(0, primacy_instance_free(p));
    got = primacy_select(own, NULL, &backend);
    CHECK(got == PRIMACY_E_STOPPED);
    CHECK_CALL(0, primacy_selector_free(own));
    CHECK_CALL(0, primacy_selector_free(watched));
}

static pthread_barrier_t together;

static void *overlap(void *selector)
{
    struct primacy_backend backend;
    int i;

    backend.size = sizeof backend;
    pthread_barrier_wait(&together);
    for (i = 0; i < 500000; i++)
        primacy_select(selector, NULL, &backend);
    return NULL;
}

/* What hosts must not do: two threads select on one selector. Whoever looks for races must see this one. */
static void a_planted_race(void)
{
    pthread_t threads[2];
    primacy_selector *shared;
    int i;

    p = settled(THREE(""));
    shared = selector_of(p, "ro");
    pthread_barrier_init(&together, NULL, 2);
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, overlap, shared) == 0);
    for (i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_CALL(0, primacy_selector_free(shared));
    CHECK_CALL(0, primacy_instance_free(p));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "race") == 0) {
        RUN(a_planted_race);
        return check_failures;
    }
    if (argc == 2)
        rounds = atoi(argv[1]);
    RUN(threads_select_while_the_pool_changes);
    RUN(threads_outlive_the_instance);
    return check_failures;
}
