/* Snapshots as tables. The library's snapshot lies in a userdata while it is copied, so that Lua frees it if memory runs out. */
#include "module.h"

#define SNAPSHOT_TYPE "primacy.snapshot"

struct snapshot_box {
    primacy_snapshot *handle;
};

static int collect(lua_State *L)
{
    struct snapshot_box *own = luaL_checkudata(L, 1, SNAPSHOT_TYPE);
    primacy_snapshot *handle = own->handle;

    own->handle = NULL;
    primacy_snapshot_free(handle);
    return 0;
}

static struct snapshot_box *take(lua_State *L, struct instance_box *instance)
{
    struct snapshot_box *own = lua_newuserdata(L, sizeof *own);
    int32_t code;

    own->handle = NULL;
    luaL_getmetatable(L, SNAPSHOT_TYPE);
    lua_setmetatable(L, -2);
    code = primacy_snapshot_take(instance->handle, &own->handle);
    if (code < 0) {
        fail(L, code);
        return NULL;
    }
    return own;
}

/* Fields of the table on top. */
static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void set_whole(lua_State *L, const char *name, uint64_t value)
{
    push_whole(L, value);
    lua_setfield(L, -2, name);
}

static void set_big(lua_State *L, const char *name, uint64_t value)
{
    push_u64(L, value);
    lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, int32_t value)
{
    lua_pushboolean(L, value != 0);
    lua_setfield(L, -2, name);
}

static void set_word(lua_State *L, const char *name, const struct enumeration *list, int32_t number)
{
    push_word(L, list, number);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void push_channel(lua_State *L, const primacy_channel *channel)
{
    lua_createtable(L, 0, 9);
    set_text(L, "name", channel->name);
    set_text(L, "source", channel->source);
    set_word(L, "io", &thread_state_words, channel->io_state);
    set_word(L, "sql", &thread_state_words, channel->sql_state);
    set_whole(L, "io_error", channel->io_error);
    set_whole(L, "sql_error", channel->sql_error);
    set_text(L, "error", channel->error);
    if (channel->known & PRIMACY_CHANNEL_LAG)
        set_number(L, "lag", (double)channel->lag_ms / 1000);
    if (channel->known & PRIMACY_CHANNEL_APPLIED_ALL)
        set_flag(L, "applied_all", channel->applied_all);
}

/* Facts are fields of the node; what is unknown is absent. */
static void set_facts(lua_State *L, const primacy_node *node)
{
    if (node->facts & PRIMACY_FACT_FLAVOUR)
        set_word(L, "flavour", &flavour_words, node->flavour);
    if (node->facts & PRIMACY_FACT_VERSION)
        set_whole(L, "version", node->version);
    if (node->facts & PRIMACY_FACT_SERVER_ID)
        set_whole(L, "server_id", node->server_id);
    if (node->facts & PRIMACY_FACT_SERVER_UUID)
        set_text(L, "server_uuid", node->server_uuid);
    if (node->facts & PRIMACY_FACT_GTIDS)
        set_text(L, "gtids", node->gtids);
    if (node->facts & PRIMACY_FACT_READ_ONLY)
        set_flag(L, "read_only", node->read_only);
    if (node->facts & PRIMACY_FACT_SUPER_READ_ONLY)
        set_flag(L, "super_read_only", node->super_read_only);
    if (node->facts & PRIMACY_FACT_THREADS_CONNECTED)
        set_whole(L, "threads_connected", node->threads_connected);
    if (node->facts & PRIMACY_FACT_MAX_CONNECTIONS)
        set_whole(L, "max_connections", node->max_connections);
    if (node->facts & PRIMACY_FACT_ROUND_TRIP)
        set_number(L, "round_trip", (double)node->round_trip_us / 1e6);
}

/* Since when, until when if there is an end, and why. */
static void set_order(lua_State *L, uint64_t since_ms, uint64_t until_ms, const char *reason)
{
    set_whole(L, "since_ms", since_ms);
    if (until_ms != 0)
        set_whole(L, "until_ms", until_ms);
    set_text(L, "reason", reason);
}

static void set_override(lua_State *L, const primacy_node *node)
{
    if (node->override_set == 0)
        return;
    lua_newtable(L);
    set_order(L, node->override_since_ms, node->override_until_ms, node->override_reason);
    if (node->override_set & PRIMACY_OVERRIDE_STATE)
        set_word(L, "state", &state_words, node->override_state);
    if (node->override_set & PRIMACY_OVERRIDE_STATUS)
        set_word(L, "status", &status_words, node->override_status);
    if (node->override_set & PRIMACY_OVERRIDE_TYPE)
        set_word(L, "type", &node_type_words, node->override_type);
    if (node->override_set & PRIMACY_OVERRIDE_WEIGHT)
        set_whole(L, "weight", node->override_weight);
    if (node->override_set & PRIMACY_OVERRIDE_MAINTENANCE)
        set_word(L, "maintenance", &maintenance_role_words, node->maintenance_role);
    lua_setfield(L, -2, "override");
}

/* Gives 0 with the node's table pushed, or a number of the library's. */
static int32_t push_node(lua_State *L, primacy_snapshot *snapshot, uint32_t pool, uint32_t at)
{
    struct primacy_node node;
    int32_t code;

    memset(&node, 0, sizeof node);
    node.size = sizeof node;
    code = primacy_snapshot_node(snapshot, pool, at, &node);
    if (code < 0)
        return code;
    lua_createtable(L, 0, 24);
    set_text(L, "name", node.name);
    set_word(L, "type", &node_type_words, node.node_type);
    set_word(L, "state", &state_words, node.state);
    set_word(L, "status", &status_words, node.status);
    if (node.count >= 0)
        set_big(L, "count", (uint64_t)node.count);
    if (node.cause >= 0)
        set_word(L, "cause", &cause_words, node.cause);
    set_whole(L, "error_number", node.error_number);
    set_text(L, "message", node.message);
    set_whole(L, "rule", node.rule);
    set_flag(L, "waits_for_recover", node.waits_for_recover);
    set_whole(L, "observed_ms", node.observed_ms);
    set_whole(L, "changed_ms", node.changed_ms);
    set_whole(L, "weight", node.weight);
    set_text(L, "site", node.site);
    set_facts(L, &node);
    set_override(L, &node);
    if (node.facts & PRIMACY_FACT_CHANNELS) {
        lua_createtable(L, (int)node.channel_count, 0);
        for (uint32_t n = 0; n < node.channel_count; n++) {
            struct primacy_channel channel;

            memset(&channel, 0, sizeof channel);
            channel.size = sizeof channel;
            code = primacy_snapshot_channel(snapshot, pool, at, n, &channel);
            if (code < 0)
                return code;
            push_channel(L, &channel);
            lua_rawseti(L, -2, (int)n + 1);
        }
        lua_setfield(L, -2, "channels");
    }
    return 0;
}

static int32_t push_pool(lua_State *L, primacy_snapshot *snapshot, uint32_t at)
{
    struct primacy_pool pool;
    int32_t code;

    memset(&pool, 0, sizeof pool);
    pool.size = sizeof pool;
    code = primacy_snapshot_pool(snapshot, at, &pool);
    if (code < 0)
        return code;
    lua_createtable(L, 0, 10);
    set_text(L, "name", pool.name);
    set_word(L, "kind", &pool_kind_words, pool.kind);
    set_word(L, "policy", &policy_words, pool.policy);
    set_word(L, "status", &pool_status_words, pool.status);
    set_big(L, "epoch", pool.epoch);
    set_flag(L, "paused", pool.paused);
    if (pool.frozen != 0) {
        lua_newtable(L);
        set_order(L, pool.frozen_since_ms, pool.frozen_until_ms, pool.frozen_reason);
        lua_setfield(L, -2, "frozen");
    }
    lua_createtable(L, (int)pool.node_count, 0); /* nodes */
    lua_createtable(L, 0, (int)pool.node_count); /* node, by address */
    for (uint32_t n = 0; n < pool.node_count; n++) {
        code = push_node(L, snapshot, at, n);
        if (code < 0)
            return code;
        if ((int32_t)n == pool.active && pool.paused == 0) {
            lua_pushvalue(L, -1);
            lua_setfield(L, -5, "active");
        }
        lua_getfield(L, -1, "name");
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
        lua_rawseti(L, -3, (int)n + 1);
    }
    lua_setfield(L, -3, "node");
    lua_setfield(L, -2, "nodes");
    return 0;
}

/* p:snapshot() */
static int snapshot(lua_State *L)
{
    struct instance_box *instance = instance_check(L, 1);
    struct primacy_snapshot_info info;
    struct snapshot_box *own;
    int32_t code;

    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    if (instance == NULL || (own = take(L, instance)) == NULL)
        return 3;
    code = primacy_snapshot_get(own->handle, &info);
    if (code < 0)
        return fail(L, code);
    lua_createtable(L, 0, 3);
    set_whole(L, "wall_ms", info.wall_ms);
    lua_createtable(L, (int)info.pool_count, 0); /* pools */
    lua_createtable(L, 0, (int)info.pool_count); /* pool, by name */
    for (uint32_t n = 0; n < info.pool_count; n++) {
        code = push_pool(L, own->handle, n);
        if (code < 0)
            return fail(L, code);
        lua_getfield(L, -1, "name");
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
        lua_rawseti(L, -3, (int)n + 1);
    }
    lua_setfield(L, -3, "pool");
    lua_setfield(L, -2, "pools");
    primacy_snapshot_free(own->handle);
    own->handle = NULL;
    return 1;
}

/* p:json() */
static int json(lua_State *L)
{
    struct instance_box *instance = instance_check(L, 1);
    struct snapshot_box *own;

    if (instance == NULL || (own = take(L, instance)) == NULL)
        return 3;
    PUSH_TEXT(L, primacy_snapshot_json(own->handle, buf, len));
    primacy_snapshot_free(own->handle);
    own->handle = NULL;
    return 1;
}

const luaL_Reg snapshot_methods[] = {{"snapshot", snapshot}, {"json", json}, {NULL, NULL}};

void snapshot_register(lua_State *L)
{
    static const luaL_Reg none[] = {{NULL, NULL}};

    new_type(L, SNAPSHOT_TYPE, none, collect, collect);
    lua_pop(L, 1);
}
