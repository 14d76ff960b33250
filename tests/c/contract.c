/* The contract, call by call: smoke, NULL, wrong handles, structures, strings, texts. */
#include "check.h"

#define A "10.0.1.11:3306"
#define B "10.0.1.12:3306"

static void versions_agree(void)
{
    char text[32];

    CHECK(strcmp(primacy_version(), PRIMACY_VERSION) == 0);
    snprintf(text, sizeof text, "%d.%d.%d", PRIMACY_VERSION_MAJOR, PRIMACY_VERSION_MINOR, PRIMACY_VERSION_PATCH);
    CHECK(strcmp(text, PRIMACY_VERSION) == 0);
    CHECK(primacy_abi_version() >= PRIMACY_ABI_VERSION);
}

static void figures_are_text(primacy_instance *p)
{
    int32_t length = primacy_metrics_text(p, NULL, 0);
    char *whole, few[40];

    CHECK(length > 1000);
    whole = malloc((size_t)length + 4096);
    CHECK(whole != NULL);
    CHECK(primacy_metrics_text(p, whole, (size_t)length + 4096) > 1000);
    CHECK(strncmp(whole, "# HELP primacy_build_info ", 26) == 0);
    CHECK(strstr(whole, "\nprimacy_live 1\n") != NULL);
    CHECK(strstr(whole, "\nprimacy_pool_active_info{pool=\"orders\",node=\"" B "\"} 1\n") != NULL);
    CHECK(strstr(whole, "\nprimacy_pool_switches_total{pool=\"orders\"} ") != NULL);
    /* A small buffer takes the beginning, and the answer is the length of the whole. */
    CHECK(primacy_metrics_text(p, few, sizeof few) > 1000 && strlen(few) == sizeof few - 1);
    CHECK(strncmp(few, whole, sizeof few - 1) == 0);
    CHECK_CALL(PRIMACY_E_INVALID, primacy_metrics_text(p, NULL, 7));
    free(whole);
}

static void a_pool_fails_over(void)
{
    primacy_instance *p = check_instance();
    primacy_snapshot *snapshot = NULL;
    primacy_events *events = NULL;
    struct primacy_pool pool;
    struct primacy_node node;
    struct primacy_event event;
    char text[256];
    int i, switches = 0;

    CHECK_CALL(0, primacy_events_new(p, NULL, 64, &events));
    for (i = 0; i < 3; i++) {
        CHECK_CALL(0, check_observe(p, A, PRIMACY_CAUSE_OK, NULL));
        CHECK_CALL(0, check_observe(p, B, PRIMACY_CAUSE_OK, NULL));
        CHECK_CALL(0, primacy_cycle(p, "orders", NULL));
    }
    CHECK_CALL((int32_t)strlen(A), primacy_active(p, "orders", text, sizeof text));
    CHECK(strcmp(text, A) == 0);
    for (i = 0; i < 4; i++) {
        CHECK_CALL(0, check_observe(p, "10.0.1.11", PRIMACY_CAUSE_REFUSED, "nobody there"));
        CHECK_CALL(0, check_observe(p, B, PRIMACY_CAUSE_OK, NULL));
        CHECK_CALL(0, primacy_cycle(p, "orders", NULL));
    }
    CHECK_CALL((int32_t)strlen(B), primacy_active(p, "orders", text, sizeof text));
    CHECK(strcmp(text, B) == 0);

    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    pool.size = sizeof pool;
    node.size = sizeof node;
    CHECK_CALL(0, primacy_snapshot_find_pool(snapshot, "orders"));
    CHECK_CALL(0, primacy_snapshot_pool(snapshot, 0, &pool));
    CHECK(strcmp(pool.name, "orders") == 0 && pool.kind == PRIMACY_POOL_KIND_RING && pool.policy == PRIMACY_POLICY_MPP);
    CHECK(pool.node_count == 2 && pool.active == 1 && pool.paused == 0 && pool.epoch != 0);
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 0, &node));
    CHECK(strcmp(node.name, A) == 0 && node.node_type == PRIMACY_NODE_TYPE_PRIMARY);
    CHECK(node.state == PRIMACY_STATE_FAILED_OFFLINE && node.status == PRIMACY_STATUS_FAIL && node.count == 4);
    CHECK(node.cause == PRIMACY_CAUSE_REFUSED && strstr(node.message, "nobody there") != NULL && node.rule != 0);
    CHECK(primacy_rule_text(node.rule, text, sizeof text) > 0);
    CHECK_CALL(1, primacy_snapshot_find_node(snapshot, 0, "10.0.1.12"));
    CHECK_CALL(1, primacy_snapshot_active(snapshot, 0, &node));
    CHECK(strcmp(node.name, B) == 0);
    CHECK_CALL(PRIMACY_E_END, primacy_snapshot_pool(snapshot, 1, &pool));
    CHECK_CALL(PRIMACY_E_END, primacy_snapshot_node(snapshot, 0, 2, &node));
    CHECK_CALL(PRIMACY_E_END, primacy_snapshot_active(snapshot, 7, &node));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_snapshot_find_pool(snapshot, "nothing"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_snapshot_find_node(snapshot, 0, "10.9.9.9"));

    event.size = sizeof event;
    while (primacy_events_next(events, &event) == 1) {
        CHECK(event.kind >= PRIMACY_EVENT_SWITCH && strcmp(event.pool, "orders") == 0 && event.wall_ms != 0);
        switches += event.kind == PRIMACY_EVENT_SWITCH && strcmp(event.node, B) == 0;
    }
    CHECK(switches == 1);

    CHECK(primacy_recover_node(p, "orders", A, 0, text, sizeof text) > 0);
    CHECK(strstr(text, "rule") != NULL);
    CHECK_CALL(PRIMACY_E_REFUSED, primacy_activate_primary(p, "orders", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_activate_primary(p, "orders", 6, NULL, 0));
    CHECK(primacy_explain(p, "orders", NULL, 0) > 0 && primacy_budget(p, "orders", NULL, 0) > 0);
    CHECK(primacy_budget_json(p, "orders", text, sizeof text) > 0 && text[0] == '{');
    figures_are_text(p);

    /* Snapshots and events outlive the instance. */
    CHECK_CALL(0, primacy_instance_free(p));
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 1, &node));
    CHECK(strcmp(node.name, B) == 0);
    while (primacy_events_next(events, &event) == 1)
        CHECK(event.kind != PRIMACY_EVENT_LOST);
    CHECK_CALL(0, primacy_events_next(events, &event));
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    CHECK_CALL(0, primacy_events_free(events));
}

static void facts_come_back(void)
{
    primacy_instance *p = check_instance();
    primacy_snapshot *snapshot = NULL;
    struct primacy_observation seen;
    struct primacy_channel in, out;
    const struct primacy_channel *channels[1];
    struct primacy_node node;
    char json[4096];

    memset(&in, 0, sizeof in);
    in.size = sizeof in;
    in.known = PRIMACY_CHANNEL_LAG | PRIMACY_CHANNEL_APPLIED_ALL;
    in.io_state = PRIMACY_THREAD_CONNECTING;
    in.sql_state = PRIMACY_THREAD_RUNNING;
    in.io_error = 2003;
    in.applied_all = 1;
    in.lag_ms = 1500;
    in.source = B;
    in.error = "cannot connect";
    channels[0] = &in;
    memset(&seen, 0, sizeof seen);
    seen.size = sizeof seen;
    seen.cause = PRIMACY_CAUSE_OK;
    seen.facts = PRIMACY_FACT_FLAVOUR | PRIMACY_FACT_VERSION | PRIMACY_FACT_SERVER_ID | PRIMACY_FACT_READ_ONLY |
                 PRIMACY_FACT_GTIDS | PRIMACY_FACT_CHANNELS | PRIMACY_FACT_ROUND_TRIP;
    seen.flavour = PRIMACY_FLAVOUR_MARIADB;
    seen.version = 101106;
    seen.server_id = 7;
    seen.read_only = 1;
    seen.gtids = "0-1-42";
    seen.channels = channels;
    seen.channel_count = 1;
    seen.round_trip_us = 321;
    CHECK_CALL(0, primacy_observe(p, "orders", A, &seen));
    CHECK_CALL(0, check_observe(p, B, PRIMACY_CAUSE_OK, NULL));
    CHECK_CALL(0, primacy_cycle(p, "orders", NULL));

    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    node.size = sizeof node;
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 0, &node));
    CHECK(node.facts == seen.facts && node.flavour == PRIMACY_FLAVOUR_MARIADB && node.version == 101106);
    CHECK(node.server_id == 7 && node.read_only == 1 && strcmp(node.gtids, "0-1-42") == 0);
    CHECK(node.channel_count == 1 && node.round_trip_us == 321 && node.server_uuid[0] == '\0');
    out.size = sizeof out;
    CHECK_CALL(0, primacy_snapshot_channel(snapshot, 0, 0, 0, &out));
    CHECK(out.known == in.known && out.io_state == in.io_state && out.sql_state == in.sql_state);
    CHECK(out.io_error == 2003 && out.applied_all == 1 && out.lag_ms == 1500);
    CHECK(strcmp(out.source, B) == 0 && strcmp(out.error, "cannot connect") == 0 && out.name[0] == '\0');
    CHECK_CALL(PRIMACY_E_END, primacy_snapshot_channel(snapshot, 0, 0, 1, &out));
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 1, &node));
    CHECK(node.facts == 0 && node.channel_count == 0);
    CHECK(primacy_snapshot_json(snapshot, json, sizeof json) > 0 && strstr(json, "\"0-1-42\"") != NULL);
    primacy_snapshot_free(snapshot);

    /* What cannot be is refused. */
    seen.facts = PRIMACY_FACT_GTIDS;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_observe(p, "orders", A, &seen));
    CHECK(check_error_says("PRIMACY_FACT_FLAVOUR"));
    seen.facts = (uint64_t)1 << 60;
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_observe(p, "orders", A, &seen));
    seen.facts = PRIMACY_FACT_READ_ONLY;
    seen.read_only = 2;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_observe(p, "orders", A, &seen));
    seen.facts = PRIMACY_FACT_CHANNELS;
    seen.channels = NULL;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_observe(p, "orders", A, &seen));
    seen.channel_count = 0;
    CHECK_CALL(0, primacy_observe(p, "orders", A, &seen));
    seen.facts = PRIMACY_FACT_FLAVOUR | PRIMACY_FACT_GTIDS;
    seen.gtids = "not a gtid";
    CHECK_CALL(PRIMACY_E_INVALID, primacy_observe(p, "orders", A, &seen));
    seen.facts = 0;
    seen.cause = 999;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_observe(p, "orders", A, &seen));
    primacy_instance_free(p);
}

static void null_is_answered(void)
{
    primacy_config *config = NULL;
    primacy_instance *p = check_instance();
    struct primacy_event_filter filter;
    char text[8];

    CHECK_CALL(0, primacy_config_free(NULL));
    CHECK_CALL(0, primacy_instance_free(NULL));
    CHECK_CALL(0, primacy_snapshot_free(NULL));
    CHECK_CALL(0, primacy_events_free(NULL));

    CHECK_CALL(PRIMACY_E_INVALID, primacy_config_new(NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_config_set(NULL, "a", "b"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_config_load_file(NULL, "x"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_config_load_text(NULL, "", 0, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_config_add_pool(NULL, "x"));
    CHECK_CALL(0, primacy_config_new(&config));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_config_set(config, NULL, "b"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_config_set(config, "a", NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_config_load_file(config, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_config_load_text(config, NULL, 4, NULL));
    CHECK_CALL(0, primacy_config_load_text(config, NULL, 0, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_config_add_pool(config, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_instance_new(config, NULL));
    CHECK_CALL(0, primacy_config_free(config));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_instance_new(NULL, &p));

    CHECK_CALL(PRIMACY_E_HANDLE, primacy_start(NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_stop(NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_fd(NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_dispatch(NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_run_cycle(NULL, "orders", 1));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_run_cycle(p, NULL, 1));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_observe(NULL, NULL, NULL, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_observe(p, NULL, NULL, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_observe(p, "orders", NULL, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_observe(p, "orders", A, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_cycle(NULL, "orders", NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_cycle(p, NULL, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_recover_node(NULL, "orders", A, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_recover_node(p, NULL, A, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_recover_node(p, "orders", NULL, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_recover_node(p, "orders", A, 0, NULL, 5));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_recover_pool(NULL, "orders", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_activate_primary(NULL, "orders", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_remove_node(NULL, "orders", A, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_take(NULL, (primacy_snapshot **)&config));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_snapshot_take(p, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_get(NULL, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_pool(NULL, 0, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_node(NULL, 0, 0, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_active(NULL, 0, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_channel(NULL, 0, 0, 0, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_find_pool(NULL, "x"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_find_node(NULL, 0, "x"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_json(NULL, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_explain(NULL, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_budget(NULL, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_budget_json(NULL, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_metrics_text(NULL, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_active(NULL, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_active(p, NULL, NULL, 0));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_active(p, "nothing", text, sizeof text));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_events_new(NULL, NULL, 1, (primacy_events **)&config));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_events_new(p, NULL, 1, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_events_new(p, NULL, 0, (primacy_events **)&config));
    memset(&filter, 0, sizeof filter);
    filter.size = sizeof filter;
    filter.severity = 77;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_events_new(p, &filter, 1, (primacy_events **)&config));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_events_fd(NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_events_next(NULL, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_cause_from_name(NULL));
    CHECK(primacy_last_error(NULL, 9) == PRIMACY_E_INVALID);
    primacy_instance_free(p);
}

static void wrong_handles_are_answered(void)
{
    primacy_config *config = NULL;
    primacy_instance *p = check_instance();
    primacy_snapshot *snapshot = NULL;
    primacy_events *events = NULL;
    uint64_t garbage[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    CHECK_CALL(0, primacy_config_new(&config));
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    CHECK_CALL(0, primacy_events_new(p, NULL, 1, &events));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_start((primacy_instance *)(void *)config));
    CHECK(check_error_says("this is a primacy_config"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_config_set((primacy_config *)(void *)p, "a", "b"));
    CHECK(check_error_says("this is a primacy_instance"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_json((primacy_snapshot *)(void *)events, NULL, 0));
    CHECK(check_error_says("this is a primacy_events"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_events_fd((primacy_events *)(void *)snapshot));
    CHECK(check_error_says("this is a primacy_snapshot"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_instance_free((primacy_instance *)(void *)snapshot));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_config_free((primacy_config *)(void *)p));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_events_free((primacy_events *)(void *)config));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_snapshot_free((primacy_snapshot *)(void *)p));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_stop((primacy_instance *)(void *)garbage));
    CHECK(check_error_says("no handle"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_stop((primacy_instance *)(void *)((char *)garbage + 3)));
    /* All of them still work. */
    CHECK_CALL(0, primacy_config_free(config));
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    CHECK_CALL(0, primacy_events_free(events));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void out_structures_keep_to_their_size(void)
{
    primacy_instance *p = check_instance();
    primacy_snapshot *snapshot = NULL;
    union {
        struct primacy_node node;
        unsigned char bytes[sizeof(struct primacy_node) + 64];
    } room;
    size_t i;

    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    /* Shorter than the first release's. */
    memset(&room, 0xa5, sizeof room);
    room.node.size = offsetof(struct primacy_node, round_trip_us);
    CHECK_CALL(PRIMACY_E_SIZE, primacy_snapshot_node(snapshot, 0, 0, &room.node));
    CHECK(room.bytes[4] == 0xa5 && room.bytes[sizeof room.node - 1] == 0xa5);
    room.node.size = 0;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_snapshot_node(snapshot, 0, 0, &room.node));
    /* Not set at all. */
    room.node.size = 0xa5a5a5a5u;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_snapshot_node(snapshot, 0, 0, &room.node));
    CHECK(room.bytes[4] == 0xa5);
    /* A failed call writes nothing. */
    room.node.size = sizeof room.node;
    CHECK_CALL(PRIMACY_E_END, primacy_snapshot_node(snapshot, 0, 9, &room.node));
    CHECK(room.bytes[4] == 0xa5);
    /* Longer: the tail is zeroed up to the caller's size and not beyond, and `size` stays. */
    room.node.size = sizeof room.node + 32;
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 0, &room.node));
    CHECK(room.node.size == sizeof room.node + 32 && strcmp(room.node.name, A) == 0);
    for (i = sizeof room.node; i < sizeof room.node + 32; i++)
        CHECK(room.bytes[i] == 0);
    for (; i < sizeof room; i++)
        CHECK(room.bytes[i] == 0xa5);
    /* Exact. */
    memset(&room, 0xa5, sizeof room);
    room.node.size = sizeof room.node;
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 0, &room.node));
    CHECK(room.bytes[sizeof room.node] == 0xa5 && room.node.round_trip_us == 0);
    /* Misaligned. */
    CHECK_CALL(PRIMACY_E_INVALID, primacy_snapshot_node(snapshot, 0, 0, (struct primacy_node *)(void *)(room.bytes + 4)));
    primacy_snapshot_free(snapshot);
    primacy_instance_free(p);
}

static void in_structures_grow(void)
{
    primacy_instance *p = check_instance();
    struct {
        struct primacy_observation seen;
        unsigned char tail[16];
    } room;
    struct primacy_cycle_options options;

    memset(&room, 0, sizeof room);
    /* Up to the required field: the rest has its defaults. */
    room.seen.cause = PRIMACY_CAUSE_OK;
    room.seen.size = offsetof(struct primacy_observation, error_number);
    room.seen.message = (const char *)1; /* not read */
    CHECK_CALL(0, primacy_observe(p, "orders", A, &room.seen));
    room.seen.message = NULL;
    room.seen.size = 4;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_observe(p, "orders", A, &room.seen));
    /* Within a field. */
    room.seen.size = offsetof(struct primacy_observation, message) + 4;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_observe(p, "orders", A, &room.seen));
    /* Longer, with zeros: a newer caller that uses nothing new. */
    room.seen.size = sizeof room;
    CHECK_CALL(0, primacy_observe(p, "orders", A, &room.seen));
    room.tail[9] = 1;
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_observe(p, "orders", A, &room.seen));
    room.tail[9] = 0;
    room.seen.size = 0x10001;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_observe(p, "orders", A, &room.seen));

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.flags = 8;
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_cycle(p, "orders", &options));
    options.flags = PRIMACY_CYCLE_POOL_STATUS;
    options.pool_status = 5;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_cycle(p, "orders", &options));
    options.pool_status = PRIMACY_POOL_STATUS_FAIL;
    CHECK_CALL(0, check_observe(p, A, PRIMACY_CAUSE_OK, NULL));
    CHECK_CALL(0, check_observe(p, B, PRIMACY_CAUSE_OK, NULL));
    CHECK_CALL(0, primacy_cycle(p, "orders", &options));
    primacy_instance_free(p);
}

static void strings_are_checked(void)
{
    primacy_config *config = NULL;
    primacy_instance *p = check_instance();
    static const char bad[] = "caf\xe9";

    CHECK_CALL(0, primacy_config_new(&config));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_config_set(config, bad, "x"));
    CHECK(check_error_says("UTF-8"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_config_load_text(config, bad, sizeof bad - 1, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, check_observe(p, A, PRIMACY_CAUSE_REFUSED, bad));
    CHECK_CALL(PRIMACY_E_CONFIG, primacy_config_load_text(config, "x = [1,\n  bad", 13, "here.toml"));
    CHECK(check_error_says("here.toml:2"));
    CHECK_CALL(PRIMACY_E_CONFIG, primacy_config_set(config, "no_such_key", "1"));
    CHECK(check_error_says("no_such_key"));
    CHECK_CALL(PRIMACY_E_CONFIG, primacy_config_add_pool(config, "name:p;primary:a;primary:b"));
    CHECK_CALL(PRIMACY_E_IO, primacy_config_load_file(config, "/nonexistent/primacy.toml"));
    CHECK(check_error_says("/nonexistent/primacy.toml"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, check_observe(p, "10.0.1.99", PRIMACY_CAUSE_OK, NULL));
    primacy_config_free(config);
    primacy_instance_free(p);
}

static void texts_are_cut_between_characters(void)
{
    primacy_config *config = NULL;
    char text[256], small[256];
    int32_t whole;
    size_t len;

    CHECK_CALL(0, primacy_config_new(&config));
    CHECK_CALL(PRIMACY_E_CONFIG, primacy_config_set(config, "schl\xc3\xbcssel_\xe2\x82\xac_\xf0\x9f\x94\x91", "x"));
    whole = primacy_last_error(text, sizeof text);
    CHECK(whole > 20 && (size_t)whole == strlen(text));
    CHECK(strstr(text, "\xf0\x9f\x94\x91") != NULL);
    /* A successful call leaves the text alone. */
    CHECK(primacy_abi_version() != 0 && primacy_config_load_text(config, "", 0, NULL) == 0);
    CHECK(primacy_last_error(NULL, 0) == whole);
    for (len = 1; len <= (size_t)whole + 1; len++) {
        size_t n;
        memset(small, 0x5a, sizeof small);
        CHECK(primacy_last_error(small, len) == whole);
        n = strlen(small);
        CHECK(n < len && memcmp(small, text, n) == 0);
        /* As much as fits: at most three bytes of a character are left out, and no character is cut. */
        CHECK(n + 1 == len || (len - n <= 4 && ((unsigned char)text[n] & 0xc0) != 0x80));
        CHECK(n == 0 || ((unsigned char)text[n] & 0xc0) != 0x80);
        CHECK(small[len] == 0x5a);
    }
    primacy_config_free(config);
}

static void names_are_constants(void)
{
    int32_t i;

    CHECK(strcmp(primacy_error_name(PRIMACY_OK), "PRIMACY_OK") == 0);
    CHECK(strcmp(primacy_error_name(PRIMACY_E_REFUSED), "PRIMACY_E_REFUSED") == 0);
    CHECK(strcmp(primacy_state_name(PRIMACY_STATE_FAILED_OFFLINE), "FAILED_OFFLINE") == 0);
    CHECK(strcmp(primacy_status_name(PRIMACY_STATUS_OK_WARN), "OK_WARN") == 0);
    CHECK(strcmp(primacy_cause_name(PRIMACY_CAUSE_TOO_MANY_CONNECTIONS), "too_many_connections") == 0);
    CHECK(strcmp(primacy_event_kind_name(PRIMACY_EVENT_LAST_NODE), "last_node") == 0);
    CHECK(strcmp(primacy_severity_name(PRIMACY_SEVERITY_ALARM), "alarm") == 0);
    CHECK(strcmp(primacy_node_type_name(1), "SECONDARY") == 0 && strcmp(primacy_pool_kind_name(0), "ring") == 0);
    CHECK(strcmp(primacy_policy_name(1), "mpp") == 0 && strcmp(primacy_pool_status_name(1), "FAIL") == 0);
    CHECK(strcmp(primacy_class_name(3), "silent") == 0 && strcmp(primacy_flavour_name(1), "mariadb") == 0);
    CHECK(strcmp(primacy_thread_state_name(1), "connecting") == 0);
    for (i = -40; i < 40; i++) {
        CHECK(primacy_error_name(i) != NULL && primacy_state_name(i) != NULL && primacy_status_name(i) != NULL);
        CHECK(primacy_cause_name(i) != NULL && primacy_event_kind_name(i) != NULL && primacy_class_name(i) != NULL);
    }
    CHECK(strcmp(primacy_state_name(99), "?") == 0 && strcmp(primacy_error_name(-99), "?") == 0);
    CHECK(strcmp(primacy_event_kind_name(0), "?") == 0);
    for (i = 0; primacy_cause_name(i)[0] != '?'; i++) {
        CHECK_CALL(i, primacy_cause_from_name(primacy_cause_name(i)));
        CHECK(primacy_cause_class(i) >= 0);
    }
    CHECK(i == PRIMACY_CAUSE_CHECK_FAILED + 1);
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_cause_from_name("bad weather"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_cause_class(99));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_rule_text(65536 + 101, NULL, 0));
}

static void a_full_queue_says_so(void)
{
    primacy_instance *p = check_instance();
    primacy_events *events = NULL;
    struct primacy_event event;
    uint64_t lost = 0;
    int i, read = 0;

    CHECK_CALL(0, primacy_events_new(p, NULL, 2, &events));
    CHECK(primacy_events_fd(events) >= 0);
    for (i = 0; i < 8; i++) {
        CHECK_CALL(0, check_observe(p, A, i < 3 ? PRIMACY_CAUSE_OK : PRIMACY_CAUSE_NO_ACK, NULL));
        CHECK_CALL(0, check_observe(p, B, PRIMACY_CAUSE_OK, NULL));
        CHECK_CALL(0, primacy_cycle(p, "orders", NULL));
    }
    event.size = sizeof event;
    while (primacy_events_next(events, &event) == 1) {
        read++;
        if (event.kind == PRIMACY_EVENT_LOST) {
            CHECK(read == 1);
            lost = event.count;
        }
    }
    CHECK(lost > 0 && read == 3);
    primacy_events_free(events);
    primacy_instance_free(p);
}

int main(void)
{
    RUN(versions_agree);
    RUN(a_pool_fails_over);
    RUN(facts_come_back);
    RUN(null_is_answered);
    RUN(wrong_handles_are_answered);
    RUN(out_structures_keep_to_their_size);
    RUN(in_structures_grow);
    RUN(strings_are_checked);
    RUN(texts_are_cut_between_characters);
    RUN(names_are_constants);
    RUN(a_full_queue_says_so);
    return check_failures;
}
