/* What the tests of selection share: instances from a text, pools that the test observes. */
#ifndef SELECTING_H
#define SELECTING_H

#include <poll.h>
#include <time.h>

#include "check.h"

#define A "10.0.1.11:3306"
#define B "10.0.1.12:3306"
#define C "10.0.1.13:3306"

/* Three nodes that the host observes, one at a site; `more` holds services. */
#define THREE(more) \
    "[pool.orders]\npolicy = \"mpp\"\nprobe = \"external\"\n" \
    "nodes = [ { address = \"" A "\", type = \"primary\" }, { address = \"" B "\", type = \"secondary\", site = \"east\" }, " \
    "{ address = \"" C "\", type = \"secondary\" } ]\n" more

static inline int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline primacy_config *config_of(const char *text)
{
    primacy_config *config = NULL;

    CHECK_CALL(0, primacy_config_new(&config));
    CHECK_CALL(0, primacy_config_load_text(config, text, strlen(text), "test.toml"));
    return config;
}

static inline primacy_instance *instance_of(const char *text)
{
    primacy_config *config = config_of(text);
    primacy_instance *p = NULL;

    CHECK_CALL(0, primacy_instance_new(config, &p));
    CHECK_CALL(0, primacy_config_free(config));
    return p;
}

/* One cycle of the pool `orders`: what each node of a list that ends with NULL shows. */
static inline void cycle_of(primacy_instance *p, const char *const *nodes, int32_t first, int32_t others)
{
    size_t i;

    for (i = 0; nodes[i] != NULL; i++)
        CHECK_CALL(0, check_observe(p, nodes[i], i == 0 ? first : others, NULL));
    CHECK_CALL(0, primacy_cycle(p, "orders", NULL));
}

static const char *const three[] = {A, B, C, NULL};

/* The three nodes in order: A is ACTIVE, the others are stand-ins. */
static inline primacy_instance *settled(const char *text)
{
    primacy_instance *p = instance_of(text);
    int i;

    for (i = 0; i < 3; i++)
        cycle_of(p, three, PRIMACY_CAUSE_OK, PRIMACY_CAUSE_OK);
    return p;
}

static inline primacy_selector *selector_of(primacy_instance *p, const char *service)
{
    struct primacy_selector_options options;
    primacy_selector *selector = NULL;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.seed = 1;
    CHECK_CALL(0, primacy_selector_new(p, service, &options, &selector));
    return selector;
}

static inline struct primacy_select_options wish_of(void)
{
    struct primacy_select_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    return options;
}

/* A selection that must give a node; its name is in a buffer that the next call uses again. */
static inline const char *chosen(primacy_selector *selector, struct primacy_backend *backend)
{
    static char name[128];

    memset(backend, 0, sizeof *backend);
    backend->size = sizeof *backend;
    name[0] = '\0';
    CHECK_CALL(0, primacy_select(selector, NULL, backend));
    CHECK(primacy_node_name(selector, backend->slot, name, sizeof name) == (int32_t)strlen(name));
    return name;
}

#endif
