/* Overrides, freezes, maintenance and hosts' reports: what they do, how they show, and bad input. */
#include "check.h"

#define A "10.0.1.11:3306"
#define B "10.0.1.12:3306"

/* An instance whose first node is ACTIVE. */
static primacy_instance *settled(void)
{
    primacy_instance *p = check_instance();
    int i;

    for (i = 0; i < 3; i++) {
        CHECK_CALL(0, check_observe(p, A, PRIMACY_CAUSE_OK, NULL));
        CHECK_CALL(0, check_observe(p, B, PRIMACY_CAUSE_OK, NULL));
        CHECK_CALL(0, primacy_cycle(p, "orders", NULL));
    }
    return p;
}

static struct primacy_override_options options_of(uint32_t set, const char *reason)
{
    struct primacy_override_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.set = set;
    options.reason = reason;
    return options;
}

/* Reads pool and node anew; the strings live as long as the snapshot that is returned. */
static primacy_snapshot *look(primacy_instance *p, uint32_t at, struct primacy_pool *pool, struct primacy_node *node)
{
    primacy_snapshot *snapshot = NULL;

    memset(pool, 0xa5, sizeof *pool);
    memset(node, 0xa5, sizeof *node);
    pool->size = sizeof *pool;
    node->size = sizeof *node;
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    CHECK_CALL(0, primacy_snapshot_pool(snapshot, 0, pool));
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, at, node));
    return snapshot;
}

static void an_override_moves_the_role_and_shows(void)
{
    primacy_instance *p = settled();
    primacy_snapshot *snapshot;
    struct primacy_override_options options =
        options_of(PRIMACY_OVERRIDE_STATE | PRIMACY_OVERRIDE_WEIGHT, "new disk in \"the other\" one");
    struct primacy_pool pool;
    struct primacy_node node;
    char text[512];

    CHECK(primacy_active(p, "orders", text, sizeof text) > 0 && strcmp(text, A) == 0);
    snapshot = look(p, 1, &pool, &node);
    CHECK(node.override_set == 0 && node.override_state == 0 && node.override_since_ms == 0);
    CHECK(node.override_reason != NULL && node.override_reason[0] == '\0');
    CHECK(pool.frozen == 0 && pool.reserved2 == 0 && pool.frozen_since_ms == 0 && pool.frozen_reason[0] == '\0');
    primacy_snapshot_free(snapshot);

    options.state = PRIMACY_STATE_ACTIVE;
    options.weight = 7;
    options.limit_ms = 3600000;
    CHECK(primacy_override(p, "orders", "10.0.1.12", &options, 0, text, sizeof text) > 0);
    CHECK(strstr(text, "rule") != NULL && strstr(text, "new disk") != NULL);
    CHECK(primacy_active(p, "orders", text, sizeof text) > 0 && strcmp(text, B) == 0);
    snapshot = look(p, 1, &pool, &node);
    CHECK(node.override_set == (PRIMACY_OVERRIDE_STATE | PRIMACY_OVERRIDE_WEIGHT));
    CHECK(node.override_state == PRIMACY_STATE_ACTIVE && node.state == PRIMACY_STATE_ACTIVE);
    CHECK(node.override_weight == 7 && node.weight == 7 && node.maintenance_role == 0);
    CHECK(node.override_since_ms > 1000000000000u && node.override_until_ms == node.override_since_ms + 3600000);
    CHECK(strcmp(node.override_reason, "new disk in \"the other\" one") == 0);
    primacy_snapshot_json(snapshot, NULL, 0);
    primacy_snapshot_free(snapshot);

    /* A second ACTIVE is refused by rule, and nothing changes. */
    CHECK_CALL(PRIMACY_E_REFUSED, primacy_override(p, "orders", A, &options, 0, NULL, 0));
    CHECK(check_error_says("rule"));

    CHECK(primacy_clear_override(p, "orders", B, PRIMACY_NOWAIT, text, sizeof text) > 0);
    snapshot = look(p, 1, &pool, &node);
    CHECK(node.override_set == 0 && node.weight == 1 && node.override_reason[0] == '\0');
    CHECK(node.state == PRIMACY_STATE_ACTIVE);
    primacy_snapshot_free(snapshot);
    CHECK_CALL(PRIMACY_E_REFUSED, primacy_clear_override(p, "orders", B, 0, NULL, 0));
    primacy_instance_free(p);
}

static void each_value_is_set_alone(void)
{
    primacy_instance *p = settled();
    primacy_snapshot *snapshot;
    struct primacy_override_options options;
    struct primacy_pool pool;
    struct primacy_node node;

    options = options_of(PRIMACY_OVERRIDE_STATUS, "r");
    options.status = PRIMACY_STATUS_OK_WARN;
    /* What no flag names is not looked at. */
    options.state = 99;
    options.node_type = 99;
    CHECK(primacy_override(p, "orders", B, &options, 0, NULL, 0) > 0);
    snapshot = look(p, 1, &pool, &node);
    CHECK(node.override_set == PRIMACY_OVERRIDE_STATUS && node.override_status == PRIMACY_STATUS_OK_WARN);
    CHECK(node.status == PRIMACY_STATUS_OK_WARN && node.state == PRIMACY_STATE_STANDBY && node.override_until_ms == 0);
    primacy_snapshot_free(snapshot);

    /* The next one takes its place. */
    options = options_of(PRIMACY_OVERRIDE_TYPE, "r");
    options.node_type = PRIMACY_NODE_TYPE_PRIMARY;
    CHECK(primacy_override(p, "orders", B, &options, 0, NULL, 0) > 0);
    snapshot = look(p, 1, &pool, &node);
    CHECK(node.override_set == PRIMACY_OVERRIDE_TYPE && node.node_type == PRIMACY_NODE_TYPE_PRIMARY);
    primacy_snapshot_free(snapshot);
    snapshot = look(p, 0, &pool, &node);
    CHECK(node.override_set == 0 && node.node_type == PRIMACY_NODE_TYPE_SECONDARY);
    primacy_snapshot_free(snapshot);
    primacy_instance_free(p);
}

static void a_frozen_pool_keeps_its_states(void)
{
    primacy_instance *p = settled();
    primacy_snapshot *snapshot;
    struct primacy_pool pool;
    struct primacy_node node;
    char text[512];
    int i;

    CHECK(primacy_freeze(p, "orders", "network work", 60000, 0, text, sizeof text) > 0);
    CHECK(strstr(text, "network work") != NULL);
    for (i = 0; i < 6; i++) {
        CHECK_CALL(0, check_observe(p, A, PRIMACY_CAUSE_REFUSED, NULL));
        CHECK_CALL(0, check_observe(p, B, PRIMACY_CAUSE_OK, NULL));
        CHECK_CALL(0, primacy_cycle(p, "orders", NULL));
    }
    CHECK(primacy_active(p, "orders", text, sizeof text) > 0 && strcmp(text, A) == 0);
    snapshot = look(p, 0, &pool, &node);
    CHECK(pool.frozen == 1 && strcmp(pool.frozen_reason, "network work") == 0);
    CHECK(pool.frozen_since_ms > 1000000000000u && pool.frozen_until_ms == pool.frozen_since_ms + 60000);
    CHECK(node.cause == PRIMACY_CAUSE_REFUSED && node.state == PRIMACY_STATE_ACTIVE);
    primacy_snapshot_free(snapshot);
    CHECK(primacy_unfreeze(p, "orders", 0, text, sizeof text) > 0);
    CHECK_CALL(PRIMACY_E_REFUSED, primacy_unfreeze(p, "orders", 0, NULL, 0));
    CHECK(check_error_says("rule"));
    for (i = 0; i < 6; i++) {
        CHECK_CALL(0, check_observe(p, A, PRIMACY_CAUSE_REFUSED, NULL));
        CHECK_CALL(0, check_observe(p, B, PRIMACY_CAUSE_OK, NULL));
        CHECK_CALL(0, primacy_cycle(p, "orders", NULL));
    }
    CHECK(primacy_active(p, "orders", text, sizeof text) > 0 && strcmp(text, B) == 0);
    primacy_instance_free(p);
}

static void maintenance_shows(void)
{
    primacy_instance *p = settled();
    primacy_snapshot *snapshot;
    struct primacy_pool pool;
    struct primacy_node node;

    CHECK(primacy_maintenance(p, "orders", B, PRIMACY_MAINTENANCE_STAY, "memory", 0, 0, NULL, 0) > 0);
    snapshot = look(p, 1, &pool, &node);
    CHECK(node.override_set == PRIMACY_OVERRIDE_MAINTENANCE && node.maintenance_role == PRIMACY_MAINTENANCE_STAY);
    CHECK(strcmp(node.override_reason, "memory") == 0 && node.override_until_ms == 0);
    primacy_snapshot_free(snapshot);
    CHECK(primacy_clear_override(p, "orders", B, 0, NULL, 0) > 0);
    CHECK(strcmp(primacy_maintenance_role_name(PRIMACY_MAINTENANCE_MOVE), "move") == 0);
    CHECK(strcmp(primacy_maintenance_role_name(PRIMACY_MAINTENANCE_STAY), "stay") == 0);
    CHECK(strcmp(primacy_maintenance_role_name(2), "?") == 0 && strcmp(primacy_maintenance_role_name(-1), "?") == 0);
    primacy_instance_free(p);
}

static void reports_are_taken(void)
{
    primacy_instance *p = settled();
    int32_t outcome;

    for (outcome = PRIMACY_REPORT_CONNECTED; outcome <= PRIMACY_REPORT_SESSION_FAILED; outcome++)
        CHECK_CALL(0, primacy_report_node(p, "orders", "10.0.1.11", outcome));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report_node(p, "orders", A, 4));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report_node(p, "orders", A, -1));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report_node(p, NULL, A, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report_node(p, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_report_node(NULL, "orders", A, 0));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_report_node(p, "nothing", A, 0));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_report_node(p, "orders", "10.9.9.9", 0));
    CHECK(strcmp(primacy_report_outcome_name(PRIMACY_REPORT_CONNECT_TIMED_OUT), "connect_timed_out") == 0);
    CHECK(strcmp(primacy_report_outcome_name(4), "?") == 0);
    CHECK_CALL(0, primacy_stop(p));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_report_node(p, "orders", A, 0));
    primacy_instance_free(p);
}

/* A command to a proxy: what is wrong is told before anybody is connected to. With a real proxy: tests/real/test_mpp_push.py. */
static void mpp_commands_are_checked(void)
{
    struct primacy_proxy_options good, bad;
    char buf[64];
    uint32_t size;

    memset(&good, 0, sizeof good);
    good.size = sizeof good;
    good.timeout_ms = 500;
    /* Port 1 (tcpmux) refuses on every machine. */
    good.proxy = "127.0.0.1:1";
    CHECK_CALL(PRIMACY_E_IO, primacy_proxy_command(&good, "MPP SHOW ALL", buf, sizeof buf));
    CHECK(check_error_says("proxy 127.0.0.1:1: connect: Connection refused"));
    CHECK_CALL(PRIMACY_E_IO, primacy_proxy_command(&good, "mpp set db1 weight 7;", NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_proxy_command(NULL, "MPP SHOW ALL", NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_proxy_command(&good, NULL, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_proxy_command(&good, "MPP SHOW ALL", NULL, 7));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_proxy_command(&good, "SELECT 1", NULL, 0));
    CHECK(check_error_says("begins with MPP"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_proxy_command(&good, "MPP SET db1 STATE", NULL, 0));
    CHECK(check_error_says("the value of \"STATE\" is missing"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_proxy_command(&good, "MPP SET db1 \xff 1", NULL, 0));
    for (size = 0; size <= sizeof bad; size++) {
        bad = good;
        bad.size = size;
        if (size == offsetof(struct primacy_proxy_options, user) ||
            size == offsetof(struct primacy_proxy_options, password_file) || size == sizeof bad)
            CHECK_CALL(PRIMACY_E_IO, primacy_proxy_command(&bad, "MPP SHOW ALL", NULL, 0));
        else
            CHECK_CALL(PRIMACY_E_SIZE, primacy_proxy_command(&bad, "MPP SHOW ALL", NULL, 0));
    }
    bad = good;
    bad.proxy = NULL;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_proxy_command(&bad, "MPP SHOW ALL", NULL, 0));
    bad.proxy = "127.0.0.1:0";
    CHECK_CALL(PRIMACY_E_INVALID, primacy_proxy_command(&bad, "MPP SHOW ALL", NULL, 0));
    bad = good;
    bad.password_file = "/nowhere/password";
    CHECK_CALL(PRIMACY_E_SECRET, primacy_proxy_command(&bad, "MPP SHOW ALL", NULL, 0));
}

static void bad_input_is_answered(void)
{
    primacy_instance *p = settled();
    primacy_snapshot *snapshot;
    struct primacy_override_options good = options_of(PRIMACY_OVERRIDE_STATUS, "r"), bad;
    struct {
        struct primacy_override_options options;
        unsigned char tail[16];
    } room;
    struct primacy_pool pool;
    struct primacy_node node;
    char longer[1002], c[1] = {0};
    uint32_t size;

    memset(&room, 0, sizeof room);
    memset(longer, 'x', 1001);
    longer[1001] = '\0';

    /* NULL where something is needed. */
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_override(NULL, "orders", B, &good, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, NULL, B, &good, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", NULL, &good, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, NULL, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &good, 0, NULL, 7));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_clear_override(p, NULL, B, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_clear_override(p, "orders", NULL, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_clear_override(NULL, "orders", B, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_freeze(p, NULL, "r", 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_freeze(p, "orders", NULL, 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_freeze(NULL, "orders", "r", 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_unfreeze(p, NULL, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_unfreeze(NULL, "orders", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_maintenance(p, NULL, B, 0, "r", 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_maintenance(p, "orders", NULL, 0, "r", 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_maintenance(p, "orders", B, 0, NULL, 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_maintenance(NULL, "orders", B, 0, "r", 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_unfreeze((primacy_instance *)(void *)&room, "orders", 0, NULL, 0));

    /* Names and flags that nobody knows. */
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_override(p, "nothing", B, &good, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_override(p, "orders", "10.9.9.9", &good, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_freeze(p, "nothing", "r", 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_override(p, "orders", B, &good, 2, NULL, 0));
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_freeze(p, "orders", "r", 0, 4, c, 1));

    /* Sizes. */
    for (size = 0; size <= sizeof bad; size++) {
        int ends = size == offsetof(struct primacy_override_options, limit_ms) || size == sizeof bad;
        bad = good;
        bad.size = size;
        if (!ends)
            CHECK_CALL(PRIMACY_E_SIZE, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
        else
            CHECK(primacy_override(p, "orders", B, &bad, 0, NULL, 0) > 0);
    }
    bad = good;
    bad.size = 65537;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    memset(&room, 0, sizeof room);
    room.options = good;
    room.options.size = sizeof room;
    CHECK(primacy_override(p, "orders", B, &room.options, 0, NULL, 0) > 0);
    room.tail[15] = 1;
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_override(p, "orders", B, &room.options, 0, NULL, 0));

    /* Values. Nothing set, unknown bits, numbers of no word. */
    bad = options_of(0, "r");
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK(check_error_says("sets nothing"));
    bad = options_of(PRIMACY_OVERRIDE_MAINTENANCE, "r");
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    bad = options_of(PRIMACY_OVERRIDE_STATE, "r");
    bad.state = 5;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK(check_error_says("5 is no primacy_state"));
    bad = options_of(PRIMACY_OVERRIDE_STATUS, "r");
    bad.status = -1;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK(check_error_says("-1 is no primacy_status"));
    bad = options_of(PRIMACY_OVERRIDE_TYPE, "r");
    bad.node_type = 2;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK(check_error_says("primacy_node_type"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_maintenance(p, "orders", B, 2, "r", 0, 0, NULL, 0));
    CHECK(check_error_says("primacy_maintenance_role"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_maintenance(p, "orders", B, -1, "r", 0, 0, NULL, 0));

    /* Reasons. */
    bad = good;
    bad.reason = longer;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK(check_error_says("1001 bytes"));
    bad.reason = " ";
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    bad.reason = "one\nand two";
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK(check_error_says("control character"));
    bad.reason = "\xff";
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK(check_error_says("UTF-8"));
    bad.reason = NULL;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_freeze(p, "orders", longer, 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_freeze(p, "orders", "\x1b[2J", 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_freeze(p, "orders", "", 0, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_maintenance(p, "orders", B, 0, longer, 0, 0, NULL, 0));

    /* Limits. */
    bad = good;
    for (bad.limit_ms = -1; bad.limit_ms > INT64_MIN / 4; bad.limit_ms *= 3)
        CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    bad.limit_ms = 999;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    bad.limit_ms = INT64_MAX;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_override(p, "orders", B, &bad, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_freeze(p, "orders", "r", -1, 0, NULL, 0));
    CHECK(check_error_says("limit_ms"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_freeze(p, "orders", "r", 31622400001, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_freeze(p, "orders", "r", INT64_MIN, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_maintenance(p, "orders", B, 0, "r", -1000, 0, NULL, 0));
    CHECK(primacy_freeze(p, "orders", "r", 31622400000, 0, NULL, 0) > 0);

    /* What was refused changed nothing: the last good override is there. */
    snapshot = look(p, 1, &pool, &node);
    CHECK(node.override_set == PRIMACY_OVERRIDE_STATUS && strcmp(node.override_reason, "r") == 0);
    primacy_snapshot_free(snapshot);
    CHECK_CALL(0, primacy_stop(p));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_override(p, "orders", B, &good, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_unfreeze(p, "orders", 0, NULL, 0));
    primacy_instance_free(p);
}

static void older_callers_get_what_they_know(void)
{
    primacy_instance *p = settled();
    primacy_snapshot *snapshot = NULL;
    union {
        struct primacy_node node;
        unsigned char bytes[sizeof(struct primacy_node)];
    } room;
    union {
        struct primacy_pool pool;
        unsigned char bytes[sizeof(struct primacy_pool)];
    } hall;
    size_t first, i;

    CHECK(primacy_maintenance(p, "orders", B, PRIMACY_MAINTENANCE_STAY, "memory", 0, 0, NULL, 0) > 0);
    CHECK(primacy_freeze(p, "orders", "work", 0, 0, NULL, 0) > 0);
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    /* A caller that was compiled before the fields of orders were there. */
    first = offsetof(struct primacy_node, override_set);
    memset(&room, 0xa5, sizeof room);
    room.node.size = (uint32_t)first;
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 1, &room.node));
    CHECK(strcmp(room.node.name, B) == 0 && room.node.size == first);
    for (i = first; i < sizeof room; i++)
        CHECK(room.bytes[i] == 0xa5);
    /* One between two releases: whole fields, the begun one zeroed. */
    room.node.size = (uint32_t)first + 6;
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 1, &room.node));
    CHECK(room.node.override_set == PRIMACY_OVERRIDE_MAINTENANCE);
    CHECK(room.bytes[first + 4] == 0 && room.bytes[first + 5] == 0 && room.bytes[first + 6] == 0xa5);
    first = offsetof(struct primacy_pool, frozen);
    memset(&hall, 0xa5, sizeof hall);
    hall.pool.size = (uint32_t)first;
    CHECK_CALL(0, primacy_snapshot_pool(snapshot, 0, &hall.pool));
    CHECK(strcmp(hall.pool.name, "orders") == 0);
    for (i = first; i < sizeof hall; i++)
        CHECK(hall.bytes[i] == 0xa5);
    hall.pool.size = (uint32_t)first - 1;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_snapshot_pool(snapshot, 0, &hall.pool));
    primacy_snapshot_free(snapshot);
    primacy_instance_free(p);
}

int main(void)
{
    RUN(an_override_moves_the_role_and_shows);
    RUN(each_value_is_set_alone);
    RUN(a_frozen_pool_keeps_its_states);
    RUN(maintenance_shows);
    RUN(reports_are_taken);
    RUN(mpp_commands_are_checked);
    RUN(bad_input_is_answered);
    RUN(older_callers_get_what_they_know);
    return check_failures;
}
