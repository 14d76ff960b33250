/* Operators' commands. Each gives the answer in words. */
#include "module.h"

/* The longest limit in milliseconds, 366 days; the shortest that is one. */
#define LIMIT_LEAST 1
#define LIMIT_MOST INT64_C(31622400000)

/* Whom a command is about and how it is carried out. */
struct order {
    struct instance_box *own;
    const char *pool, *node;
    uint32_t flags;
};

static const char *const plain_options[] = {"nowait", NULL};

/* Reads instance, pool and, if `with_node`, node; and `nowait` out of the table at `options`, which may have what is `known`. */
static bool read_order(lua_State *L, struct order *order, bool with_node, int options, const char *const *known)
{
    bool nowait = false;

    order->own = instance_check(L, 1);
    order->flags = 0;
    if (order->own == NULL || !text_argument(L, 2, "pool", &order->pool) ||
        (with_node && !text_argument(L, 3, "node", &order->node)) || !options_argument(L, options, known) ||
        !field_flag(L, options, "nowait", &nowait))
        return false;
    if (nowait)
        order->flags = PRIMACY_NOWAIT;
    return true;
}

/* With `nowait` the outcome reaches the disk behind the caller's back. */
static bool may_wait(lua_State *L, const struct order *order, enum time_class time)
{
    return order->flags == PRIMACY_NOWAIT || may_block(L, order->own, time);
}

/* One buffer, no second try: a command must not be carried out twice to learn its answer's length. */
#define CARRY_OUT(L, call) \
    do { \
        char buf[TEXT_ROOM]; \
        size_t len = sizeof buf; \
        int32_t code = (call); \
        if (code < 0) \
            return fail(L, code); \
        lua_pushstring(L, buf); \
        return 1; \
    } while (0)

/* p:recover(pool, node[, options]) */
static int recover(lua_State *L)
{
    struct order order;

    lua_settop(L, 4);
    if (!read_order(L, &order, true, 4, plain_options) || !may_wait(L, &order, TIME_primacy_recover_node))
        return 3;
    CARRY_OUT(L, primacy_recover_node(order.own->handle, order.pool, order.node, order.flags, buf, len));
}

/* p:recover_pool(pool[, options]) */
static int recover_pool(lua_State *L)
{
    struct order order;

    lua_settop(L, 3);
    if (!read_order(L, &order, false, 3, plain_options) || !may_wait(L, &order, TIME_primacy_recover_pool))
        return 3;
    CARRY_OUT(L, primacy_recover_pool(order.own->handle, order.pool, order.flags, buf, len));
}

/* p:activate_primary(pool[, options]) */
static int activate_primary(lua_State *L)
{
    struct order order;

    lua_settop(L, 3);
    if (!read_order(L, &order, false, 3, plain_options) || !may_wait(L, &order, TIME_primacy_activate_primary))
        return 3;
    CARRY_OUT(L, primacy_activate_primary(order.own->handle, order.pool, order.flags, buf, len));
}

/* p:remove(pool, node[, options]) */
static int remove_node(lua_State *L)
{
    struct order order;

    lua_settop(L, 4);
    if (!read_order(L, &order, true, 4, plain_options) || !may_wait(L, &order, TIME_primacy_remove_node))
        return 3;
    CARRY_OUT(L, primacy_remove_node(order.own->handle, order.pool, order.node, order.flags, buf, len));
}

/* p:override(pool, node, {reason =, state =, status =, type =, weight =, limit =, nowait =}) */
static int override(lua_State *L)
{
    static const char *const known[] = {"reason", "state", "status", "type", "weight", "limit", "nowait", NULL};
    struct primacy_override_options set;
    struct order order;

    memset(&set, 0, sizeof set);
    set.size = sizeof set;
    lua_settop(L, 4);
    luaL_checktype(L, 4, LUA_TTABLE);
    if (!read_order(L, &order, true, 4, known) || !field_text(L, 4, "reason", &set.reason) ||
        !field_word(L, 4, "state", &state_words, &set.state) || !field_word(L, 4, "status", &status_words, &set.status) ||
        !field_word(L, 4, "type", &node_type_words, &set.node_type) || !field_u32(L, 4, "weight", &set.weight) ||
        !field_seconds(L, 4, "limit", LIMIT_LEAST, LIMIT_MOST, 1000, &set.limit_ms))
        return 3;
    set.set |= field_present(L, 4, "state") ? PRIMACY_OVERRIDE_STATE : 0;
    set.set |= field_present(L, 4, "status") ? PRIMACY_OVERRIDE_STATUS : 0;
    set.set |= field_present(L, 4, "type") ? PRIMACY_OVERRIDE_TYPE : 0;
    set.set |= field_present(L, 4, "weight") ? PRIMACY_OVERRIDE_WEIGHT : 0;
    if (!may_wait(L, &order, TIME_primacy_override))
        return 3;
    CARRY_OUT(L, primacy_override(order.own->handle, order.pool, order.node, &set, order.flags, buf, len));
}

/* p:clear_override(pool, node[, options]) */
static int clear_override(lua_State *L)
{
    struct order order;

    lua_settop(L, 4);
    if (!read_order(L, &order, true, 4, plain_options) || !may_wait(L, &order, TIME_primacy_clear_override))
        return 3;
    CARRY_OUT(L, primacy_clear_override(order.own->handle, order.pool, order.node, order.flags, buf, len));
}

/* p:freeze(pool, {reason =, limit =, nowait =}) */
static int freeze(lua_State *L)
{
    static const char *const known[] = {"reason", "limit", "nowait", NULL};
    const char *reason = NULL;
    struct order order;
    int64_t limit = 0;

    lua_settop(L, 3);
    luaL_checktype(L, 3, LUA_TTABLE);
    if (!read_order(L, &order, false, 3, known) || !field_text(L, 3, "reason", &reason) ||
        !field_seconds(L, 3, "limit", LIMIT_LEAST, LIMIT_MOST, 1000, &limit) || !may_wait(L, &order, TIME_primacy_freeze))
        return 3;
    CARRY_OUT(L, primacy_freeze(order.own->handle, order.pool, reason, limit, order.flags, buf, len));
}

/* p:unfreeze(pool[, options]) */
static int unfreeze(lua_State *L)
{
    struct order order;

    lua_settop(L, 3);
    if (!read_order(L, &order, false, 3, plain_options) || !may_wait(L, &order, TIME_primacy_unfreeze))
        return 3;
    CARRY_OUT(L, primacy_unfreeze(order.own->handle, order.pool, order.flags, buf, len));
}

/* p:maintenance(pool, node, {role = "move" or "stay", reason =, limit =, nowait =}) */
static int maintenance(lua_State *L)
{
    static const char *const known[] = {"role", "reason", "limit", "nowait", NULL};
    const char *reason = NULL;
    struct order order;
    int64_t limit = 0;
    int32_t role = 0;

    lua_settop(L, 4);
    luaL_checktype(L, 4, LUA_TTABLE);
    if (!read_order(L, &order, true, 4, known) || !field_word(L, 4, "role", &maintenance_role_words, &role) ||
        !field_text(L, 4, "reason", &reason) || !field_seconds(L, 4, "limit", LIMIT_LEAST, LIMIT_MOST, 1000, &limit))
        return 3;
    if (!field_present(L, 4, "role"))
        return complain(L, PRIMACY_E_INVALID, "`role` is missing; it must be one of MOVE, STAY");
    if (!may_wait(L, &order, TIME_primacy_maintenance))
        return 3;
    CARRY_OUT(L, primacy_maintenance(order.own->handle, order.pool, order.node, role, reason, limit, order.flags, buf, len));
}

/*
 * primacy.proxy_command(command, {proxy =, user =, password_file =, timeout =}): of no instance, so only the state says whether it may
 * block. Repeated for a longer answer, which only MPP SHOW ALL has, and that changes nothing.
 */
int proxy_command(lua_State *L)
{
    static const char *const known[] = {"proxy", "user", "password_file", "timeout", NULL};
    struct primacy_proxy_options options;
    const char *command;
    int64_t timeout = 0;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    lua_settop(L, 2);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (!text_argument(L, 1, "command", &command) || !options_argument(L, 2, known) ||
        !field_text(L, 2, "proxy", &options.proxy) || !field_text(L, 2, "user", &options.user) ||
        !field_text(L, 2, "password_file", &options.password_file) ||
        !field_seconds(L, 2, "timeout", LIMIT_LEAST, UINT32_MAX, 1000, &timeout))
        return 3;
    options.timeout_ms = (uint32_t)timeout;
    if (TIME_primacy_proxy_command >= DISK && !blocking_allowed(L))
        return complain(L, WOULD_BLOCK, "would block");
    PUSH_TEXT(L, primacy_proxy_command(&options, command, buf, len));
    return 1;
}

const luaL_Reg command_methods[] = {
    {"recover", recover},   {"recover_pool", recover_pool},     {"activate_primary", activate_primary},
    {"remove", remove_node}, {"override", override},            {"clear_override", clear_override},
    {"freeze", freeze},     {"unfreeze", unfreeze},             {"maintenance", maintenance},
    {NULL, NULL},
};
