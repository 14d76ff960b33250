/*
 * Selections make no memory: this program's own malloc counts what the library asks for in the running thread. Not for valgrind,
 * which has a malloc of its own.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stddef.h>

#include "selecting.h"

/* glibc's own, which these stand in front of. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *old);

static __thread int watched;
static __thread long asked, freed;

void *malloc(size_t size)
{
    asked += watched;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    asked += watched;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    asked += watched;
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    asked += watched;
    return __libc_memalign(align, size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    asked += watched;
    *out = __libc_memalign(align, size);
    return *out == NULL ? ENOMEM : 0;
}

void free(void *old)
{
    freed += watched && old != NULL;
    __libc_free(old);
}

static void watch(void)
{
    asked = freed = 0;
    watched = 1;
}

static long calls(void)
{
    watched = 0;
    return asked + freed;
}

#define ROUNDS 1000

/* A counter that counts nothing would find nothing. */
static void the_counter_counts(void)
{
    primacy_instance *p = settled(THREE(""));
    primacy_selector *selector = NULL;

    watch();
    primacy_selector_new(p, "rw", NULL, &selector);
    CHECK(calls() > 0);
    watch();
    primacy_selector_free(selector);
    CHECK(calls() > 0);
    primacy_instance_free(p);
}

static void every_way_to_select(const char *strategy, const char *more)
{
    struct primacy_select_options wish = wish_of();
    struct primacy_selector_options options;
    struct primacy_backend backend, first;
    struct primacy_observation seen;
    primacy_selector *any = NULL, *local = NULL;
    primacy_instance *p;
    uint32_t avoid[2] = {0, 1};
    char text[1024];
    int i, wrong = 0;
    long count;

    snprintf(text, sizeof text, THREE("[pool.orders.service.any]\nrole = \"any\"\nstrategy = \"%s\"\n%s"), strategy, more);
    p = settled(text);
    memset(&seen, 0, sizeof seen);
    seen.size = sizeof seen;
    seen.cause = PRIMACY_CAUSE_OK;
    seen.facts = PRIMACY_FACT_FLAVOUR | PRIMACY_FACT_GTIDS;
    seen.flavour = PRIMACY_FLAVOUR_MYSQL;
    seen.gtids = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-100:200-300";
    CHECK_CALL(0, primacy_observe(p, "orders", B, &seen));
    CHECK_CALL(0, primacy_cycle(p, "orders", NULL));
    any = selector_of(p, "any");
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.site = "east";
    CHECK_CALL(0, primacy_selector_new(p, "any", &options, &local));
    memset(&backend, 0, sizeof backend);
    backend.size = sizeof backend;
    first.size = sizeof first;
    CHECK_CALL(0, primacy_select(any, NULL, &first));
    wish.avoid = avoid;

    watch();
    for (i = 0; i < ROUNDS; i++) {
        wrong += primacy_select(any, NULL, &backend) != 0;
        wrong += primacy_backend_current(any, &backend) != PRIMACY_SESSION_STAYS;
        wrong += primacy_report(any, &backend, PRIMACY_REPORT_CONNECTED) != 0;
        wrong += primacy_release(any, &backend) != 0;
        wrong += primacy_select(local, NULL, &backend) != 0;
        wrong += primacy_release(local, &backend) != 0;
        wish.min_gtid = NULL;
        wish.avoid_count = 2;
        wrong += primacy_select(any, &wish, &backend) != 0 || backend.slot != 2;
        wrong += primacy_release(any, &backend) != 0;
        wish.avoid_count = 0;
        wish.min_gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:5:250";
        wrong += primacy_select(any, &wish, &backend) != 0 || backend.slot != 1;
        wrong += primacy_release(any, &backend) != 0;
        wrong += primacy_node_name(any, backend.slot, text, sizeof text) != (int32_t)strlen(B);
    }
    count = calls();
    if (count != 0)
        printf("# %s: %ld calls in %d rounds\n", strategy, count, ROUNDS);
    CHECK(count == 0 && wrong == 0);
    /* With a new table to look at: the old one is freed by who publishes, never by a selection. */
    for (i = 0; i < 6; i++) {
        cycle_of(p, three, i < 4 ? PRIMACY_CAUSE_REFUSED : PRIMACY_CAUSE_OK, PRIMACY_CAUSE_OK);
        watch();
        wrong += primacy_select(any, NULL, &backend) != 0;
        wrong += primacy_backend_current(any, &first) < 0;
        wrong += primacy_release(any, &backend) != 0;
        CHECK(calls() == 0);
    }
    CHECK(wrong == 0);
    CHECK_CALL(0, primacy_selector_free(any));
    CHECK_CALL(0, primacy_selector_free(local));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void selections_make_no_memory(void)
{
    static const char *const strategies[] = {"first-available", "next-available", "round-robin", "weighted", "least-connections",
                                             "two-choices"};
    size_t i;

    for (i = 0; i < sizeof strategies / sizeof *strategies; i++)
        every_way_to_select(strategies[i], i % 2 == 0 ? "" : "same_site_first = true\n");
}

/* Nobody takes clients: the words are the table's, and only the copy for primacy_last_error takes memory, if any. */
static void refusals_are_cheap(void)
{
    primacy_instance *p = instance_of(THREE(""));
    primacy_selector *rw = selector_of(p, "rw");
    struct primacy_backend backend;
    int i, wrong = 0;
    long count;

    backend.size = sizeof backend;
    CHECK_CALL(PRIMACY_E_NO_BACKEND, primacy_select(rw, NULL, &backend));
    watch();
    for (i = 0; i < ROUNDS; i++)
        wrong += primacy_select(rw, NULL, &backend) != PRIMACY_E_NO_BACKEND;
    count = calls();
    printf("# %ld calls in %d refusals\n", count, ROUNDS);
    CHECK(count == 0 && wrong == 0);
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_instance_free(p));
}

int main(void)
{
    RUN(the_counter_counts);
    RUN(selections_make_no_memory);
    RUN(refusals_are_cheap);
    return check_failures;
}
