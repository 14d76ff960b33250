/* Calls from several threads: one instance is shared, other objects answer an overlap. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <unistd.h>

#include "check.h"

#define ROUNDS 300

static primacy_instance *shared;
static int wrong; /* written under `lock` */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note(int bad)
{
    if (bad) {
        pthread_mutex_lock(&lock);
        wrong++;
        pthread_mutex_unlock(&lock);
    }
}

static void *observe(void *node)
{
    int i;

    for (i = 0; i < ROUNDS; i++) {
        note(check_observe(shared, node, i % 7 == 0 ? PRIMACY_CAUSE_NO_ACK : PRIMACY_CAUSE_OK, "from a thread") != 0);
        note(primacy_cycle(shared, "orders", NULL) != 0);
    }
    return NULL;
}

static void *look(void *unused)
{
    int i;

    (void)unused;
    for (i = 0; i < ROUNDS; i++) {
        primacy_snapshot *snapshot = NULL;
        struct primacy_pool pool;
        char text[64];

        pool.size = sizeof pool;
        note(primacy_snapshot_take(shared, &snapshot) != 0);
        note(primacy_snapshot_pool(snapshot, 0, &pool) != 0 || pool.node_count != 2);
        note(primacy_snapshot_free(snapshot) != 0);
        note(primacy_active(shared, "orders", text, sizeof text) < 0);
    }
    return NULL;
}

/* Every thread has its own last error. */
static void *fail(void *key)
{
    primacy_config *config = NULL;
    char text[512];
    int i;

    note(primacy_config_new(&config) != 0);
    note(primacy_last_error(NULL, 0) != 0); /* a new thread has none */
    for (i = 0; i < ROUNDS; i++) {
        note(primacy_config_set(config, key, "x") != PRIMACY_E_CONFIG);
        primacy_last_error(text, sizeof text);
        note(strstr(text, key) == NULL);
    }
    primacy_config_free(config);
    return NULL;
}

static void an_instance_is_shared(void)
{
    static char a[] = "10.0.1.11:3306", b[] = "10.0.1.12:3306", one[] = "unknown_one", two[] = "unknown_two";
    pthread_t threads[6];
    size_t i;

    shared = check_instance();
    pthread_create(&threads[0], NULL, observe, a);
    pthread_create(&threads[1], NULL, observe, b);
    pthread_create(&threads[2], NULL, look, NULL);
    pthread_create(&threads[3], NULL, look, NULL);
    pthread_create(&threads[4], NULL, fail, one);
    pthread_create(&threads[5], NULL, fail, two);
    for (i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    CHECK(wrong == 0);
    CHECK_CALL(0, primacy_instance_free(shared));
}

static primacy_config *one_at_a_time;
static int busy, done, other;

static void *load(void *text)
{
    int i;

    for (i = 0; i < 40; i++) {
        int32_t error = primacy_config_load_text(one_at_a_time, text, strlen(text), NULL);
        pthread_mutex_lock(&lock);
        busy += error == PRIMACY_E_BUSY;
        done += error == 0;
        other += error != 0 && error != PRIMACY_E_BUSY;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

/* Two threads on one configuration: each call is carried out whole or answers PRIMACY_E_BUSY. */
static void an_overlap_is_answered(void)
{
    static char text[60000];
    pthread_t threads[4];
    size_t i, round, at = 0;

    at += (size_t)snprintf(text, sizeof text, "[pool.p]\nnodes = [\n");
    for (i = 0; i < 600; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "{ address = \"10.1.%d.%d\", type = \"secondary\" },\n",
                               (int)(i / 250), (int)(i % 250));
    snprintf(text + at, sizeof text - at, "]\n");
    CHECK_CALL(0, primacy_config_new(&one_at_a_time));
    /* Threads that take turns, as valgrind lets them, may miss each other in one round. */
    for (round = 0; round < 10 && busy == 0; round++) {
        for (i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, load, text);
        for (i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
    printf("# %d done, %d busy\n", done, busy);
    CHECK(other == 0 && done > 0 && busy > 0);
    CHECK_CALL(0, primacy_config_free(one_at_a_time));
}

int main(void)
{
    RUN(an_instance_is_shared);
    RUN(an_overlap_is_answered);
    return check_failures;
}
