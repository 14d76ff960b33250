/* What the host saw itself: observations with their facts, the end of a cycle, reports of its own connects. */
#include "module.h"

/* The longest round trip and lag that are taken for one: a year. */
#define YEAR_S INT64_C(31622400)

/* As primacy_observation takes them. */
#define CHANNELS 256

/* 80036, or "8.0.36" with anything behind it. */
static bool field_version(lua_State *L, int index, uint32_t *version)
{
    unsigned major, minor, patch = 0;
    const char *text;

    lua_pushliteral(L, "version");
    lua_rawget(L, index);
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        return field_u32(L, index, "version", version);
    }
    text = lua_tostring(L, -1);
    if (sscanf(text, "%3u.%2u.%2u", &major, &minor, &patch) < 2) {
        complain(L, PRIMACY_E_INVALID, "`version` is '%s'; it must be as \"8.0.36\" or 80036", text);
        return false;
    }
    *version = major * 10000 + minor * 100 + patch;
    lua_pop(L, 1);
    return true;
}

static bool read_channel(lua_State *L, int index, primacy_channel *channel)
{
    static const char *const known[] = {"name", "source",    "io",    "sql", "io_error",
                                        "sql_error", "error", "lag", "applied_all", NULL};
    int64_t lag = 0;
    bool applied = false;

    channel->size = sizeof *channel;
    channel->io_state = channel->sql_state = PRIMACY_THREAD_RUNNING;
    if (!options_argument(L, index, known) || !field_text(L, index, "name", &channel->name) ||
        !field_text(L, index, "source", &channel->source) || !field_text(L, index, "error", &channel->error) ||
        !field_word(L, index, "io", &thread_state_words, &channel->io_state) ||
        !field_word(L, index, "sql", &thread_state_words, &channel->sql_state) ||
        !field_u32(L, index, "io_error", &channel->io_error) || !field_u32(L, index, "sql_error", &channel->sql_error) ||
        !field_seconds(L, index, "lag", 0, YEAR_S * 1000, 1000, &lag) ||
        !field_flag(L, index, "applied_all", &applied))
        return false;
    if (field_present(L, index, "lag"))
        channel->known |= PRIMACY_CHANNEL_LAG;
    if (field_present(L, index, "applied_all"))
        channel->known |= PRIMACY_CHANNEL_APPLIED_ALL;
    channel->lag_ms = (uint64_t)lag;
    channel->applied_all = applied;
    return true;
}

/* The channels lie in a userdata that stays on the stack. */
static bool field_channels(lua_State *L, int index, primacy_observation *seen)
{
    const primacy_channel **pointers;
    primacy_channel *channels;
    size_t count;

    if (!field_present(L, index, "channels"))
        return true;
    lua_getfield(L, index, "channels");
    luaL_checktype(L, -1, LUA_TTABLE);
    count = raw_length(L, -1);
    if (count > CHANNELS) {
        complain(L, PRIMACY_E_INVALID, "`channels` has %d elements; at most %d are taken", (int)count, CHANNELS);
        return false;
    }
    channels = lua_newuserdata(L, (sizeof *channels + sizeof *pointers) * count + 1);
    memset(channels, 0, sizeof *channels * count);
    pointers = (const primacy_channel **)(channels + count);
    for (size_t at = 0; at < count; at++) {
        lua_rawgeti(L, -2, (int)at + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        if (!read_channel(L, lua_gettop(L), channels + at))
            return false;
        lua_pop(L, 1);
        pointers[at] = channels + at;
    }
    seen->facts |= PRIMACY_FACT_CHANNELS;
    seen->channels = pointers;
    seen->channel_count = (uint32_t)count;
    return true;
}

static bool read_facts(lua_State *L, int index, primacy_observation *seen)
{
    static const char *const known[] = {
        "message",   "error_number",    "flavour", "version",  "server_id",         "server_uuid",     "gtids",
        "read_only", "super_read_only", "channels", "threads_connected", "max_connections", "round_trip", NULL,
    };
    static const struct {
        const char *name;
        uint64_t bit;
    } bits[] = {
        {"flavour", PRIMACY_FACT_FLAVOUR},
        {"version", PRIMACY_FACT_VERSION},
        {"server_id", PRIMACY_FACT_SERVER_ID},
        {"server_uuid", PRIMACY_FACT_SERVER_UUID},
        {"gtids", PRIMACY_FACT_GTIDS},
        {"read_only", PRIMACY_FACT_READ_ONLY},
        {"super_read_only", PRIMACY_FACT_SUPER_READ_ONLY},
        {"threads_connected", PRIMACY_FACT_THREADS_CONNECTED},
        {"max_connections", PRIMACY_FACT_MAX_CONNECTIONS},
        {"round_trip", PRIMACY_FACT_ROUND_TRIP},
    };
    bool read_only = false, super_read_only = false;
    int64_t round_trip = 0;

    if (!options_argument(L, index, known) || !field_text(L, index, "message", &seen->message) ||
        !field_u32(L, index, "error_number", &seen->error_number) ||
        !field_word(L, index, "flavour", &flavour_words, &seen->flavour) ||
        !field_u32(L, index, "server_id", &seen->server_id) || !field_text(L, index, "server_uuid", &seen->server_uuid) ||
        !field_text(L, index, "gtids", &seen->gtids) || !field_flag(L, index, "read_only", &read_only) ||
        !field_flag(L, index, "super_read_only", &super_read_only) ||
        !field_u32(L, index, "threads_connected", &seen->threads_connected) ||
        !field_u32(L, index, "max_connections", &seen->max_connections) ||
        !field_seconds(L, index, "round_trip", 0, YEAR_S * 1000000, 1000000, &round_trip))
        return false;
    if (!lua_istable(L, index))
        return true;
    if (!field_version(L, index, &seen->version))
        return false;
    seen->read_only = read_only;
    seen->super_read_only = super_read_only;
    seen->round_trip_us = (uint64_t)round_trip;
    for (size_t at = 0; at < sizeof bits / sizeof *bits; at++)
        if (field_present(L, index, bits[at].name))
            seen->facts |= bits[at].bit;
    return field_channels(L, index, seen);
}

/* While it runs elsewhere, the library writes the cache behind the caller's back; else this call does. */
static bool may_write(lua_State *L, const struct instance_box *own, enum time_class time)
{
    return own->runs || may_block(L, own, time);
}

/* p:observe(pool, node, cause[, facts]) */
static int observe(lua_State *L)
{
    struct instance_box *own;
    struct primacy_observation seen;
    const char *pool, *node;
    int32_t code;

    memset(&seen, 0, sizeof seen);
    seen.size = sizeof seen;
    lua_settop(L, 5);
    own = instance_check(L, 1);
    if (own == NULL || !text_argument(L, 2, "pool", &pool) || !text_argument(L, 3, "node", &node) ||
        !word_argument(L, 4, "cause", &cause_words, &seen.cause) || !read_facts(L, 5, &seen) ||
        !may_write(L, own, TIME_primacy_observe))
        return 3;
    code = primacy_observe(own->handle, pool, node, &seen);
    if (code < 0)
        return fail(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

/* p:cycle(pool[, pool_status]) */
static int cycle(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    struct primacy_cycle_options options;
    const char *pool;
    int32_t code;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    if (own == NULL || !text_argument(L, 2, "pool", &pool))
        return 3;
    if (!lua_isnoneornil(L, 3)) {
        if (!word_argument(L, 3, "pool_status", &pool_status_words, &options.pool_status))
            return 3;
        options.flags = PRIMACY_CYCLE_POOL_STATUS;
    }
    if (!may_write(L, own, TIME_primacy_cycle))
        return 3;
    code = primacy_cycle(own->handle, pool, &options);
    if (code < 0)
        return fail(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

/* p:report_node(pool, node, outcome) */
static int report_node(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    const char *pool, *node;
    int32_t outcome, code;

    if (own == NULL || !text_argument(L, 2, "pool", &pool) || !text_argument(L, 3, "node", &node) ||
        !word_argument(L, 4, "outcome", &report_outcome_words, &outcome))
        return 3;
    code = primacy_report_node(own->handle, pool, node, outcome);
    if (code < 0)
        return fail(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg observation_methods[] = {
    {"observe", observe}, {"cycle", cycle}, {"report_node", report_node}, {NULL, NULL},
};
