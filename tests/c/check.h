/*
 * The smallest test frame: each test prints "ok NAME" or "not ok NAME"; the exit code is the number of failed ones.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <primacy.h>

static int check_failed;    /* of the running test */
static int check_failures;  /* of all tests */

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition); \
            check_failed = 1; \
        } \
    } while (0)

/* A call answers this number, and a failed one leaves a text. */
#define CHECK_CALL(wanted, call) \
    do { \
        int32_t check_got = (call); \
        if (check_got != (wanted)) { \
            char check_text[512]; \
            primacy_last_error(check_text, sizeof check_text); \
            printf("# %s:%d: %s is %ld, not %s (%s: %s)\n", __FILE__, __LINE__, #call, (long)check_got, #wanted, \
                   primacy_error_name(check_got), check_text); \
            check_failed = 1; \
        } else if (check_got < 0 && primacy_last_error(NULL, 0) == 0) { \
            printf("# %s:%d: %s failed without a text\n", __FILE__, __LINE__, #call); \
            check_failed = 1; \
        } \
    } while (0)

#define RUN(test) \
    do { \
        check_failed = 0; \
        test(); \
        printf("%s %s\n", check_failed ? "not ok" : "ok", #test); \
        fflush(stdout); \
        check_failures += check_failed; \
    } while (0)

/* Whether the last error's text contains a word. */
static inline int check_error_says(const char *word)
{
    char text[4096];

    primacy_last_error(text, sizeof text);
    if (strstr(text, word) != NULL)
        return 1;
    printf("# the error text is: %s\n", text);
    return 0;
}

/* An instance of two nodes that the host observes, policy mpp. */
static inline primacy_instance *check_instance(void)
{
    primacy_config *config = NULL;
    primacy_instance *p = NULL;

    if (primacy_config_new(&config) != 0 ||
        primacy_config_add_pool(config, "name:orders;primary:10.0.1.11;secondary:10.0.1.12:3306") != 0 ||
        primacy_config_set(config, "pool.orders.policy", "mpp") != 0 ||
        primacy_config_set(config, "pool.orders.probe", "external") != 0 || primacy_instance_new(config, &p) != 0) {
        char text[512];
        primacy_last_error(text, sizeof text);
        printf("# no instance: %s\n", text);
        check_failed = 1;
    }
    primacy_config_free(config);
    return p;
}

/* One observation without facts. */
static inline int32_t check_observe(primacy_instance *p, const char *node, int32_t cause, const char *message)
{
    struct primacy_observation seen;

    memset(&seen, 0, sizeof seen);
    seen.size = sizeof seen;
    seen.cause = cause;
    seen.message = message;
    return primacy_observe(p, "orders", node, &seen);
}

#endif
