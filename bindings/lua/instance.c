/* Instances: made, found, run, stopped, told apart from those that other parts of a script have; and what they say as text. */
#include "module.h"

/* Registry: whether calls may block in this state; instances that primacy.open gave, by journal of their configuration. */
static const char blocking_allowed_key, opened;

static void push_opened(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&opened);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

bool blocking_allowed(lua_State *L)
{
    bool allowed;

    lua_pushlightuserdata(L, (void *)&blocking_allowed_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    allowed = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return allowed;
}

/* primacy.allow_blocking(bool) */
int instance_allow_blocking(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    lua_pushboolean(L, blocking_allowed(L));
    lua_pushlightuserdata(L, (void *)&blocking_allowed_key);
    lua_pushvalue(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 1;
}

bool may_block(lua_State *L, const struct instance_box *own, enum time_class time)
{
    if (time < DISK || own->blocking || blocking_allowed(L))
        return true;
    complain(L, WOULD_BLOCK, "would block");
    return false;
}

struct instance_box *instance_check(lua_State *L, int index)
{
    struct instance_box *own = luaL_checkudata(L, index, INSTANCE_TYPE);

    if (own->handle == NULL) {
        complain(L, PRIMACY_E_HANDLE, "the instance was closed");
        return NULL;
    }
    return own;
}

static struct instance_box *push_instance(lua_State *L, bool blocking)
{
    struct instance_box *own = lua_newuserdata(L, sizeof *own);

    own->handle = NULL;
    own->blocking = blocking;
    own->runs = false;
    luaL_getmetatable(L, INSTANCE_TYPE);
    lua_setmetatable(L, -2);
    lua_newtable(L); /* its selectors */
    set_kept(L, -2);
    return own;
}

void keep_instance(lua_State *L, int index)
{
    index = absolute(L, index);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, 1);
    set_kept(L, -2);
}

static bool read_options(lua_State *L, int index, bool *blocking)
{
    static const char *const known[] = {"blocking", NULL};

    return options_argument(L, index, known) && field_flag(L, index, "blocking", blocking);
}

/* primacy.new(config[, {blocking = false}]) */
int instance_new(lua_State *L)
{
    struct config_box *config;
    struct instance_box *own;
    bool blocking = false;
    int32_t code;

    lua_settop(L, 2);
    if (!read_options(L, 2, &blocking))
        return 3;
    config = config_from(L, 1);
    if (config == NULL)
        return 3;
    own = push_instance(L, blocking);
    code = primacy_instance_new(config->handle, &own->handle);
    return code < 0 ? fail(L, code) : 1;
}

/* Leaves what was opened under the journal on top, in place of it, if that one still lives. */
static bool still_open(lua_State *L)
{
    struct instance_box *own;

    push_opened(L);
    lua_insert(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    own = lua_isnil(L, -1) ? NULL : lua_touserdata(L, -1);
    if (own != NULL && own->handle != NULL) {
        /* Asks nothing of an instance that has its own thread or does not run; in a host's loop it does what is due anyway. */
        int32_t code = primacy_dispatch(own->handle);

        if (code >= 0 || code == PRIMACY_E_STATE || code == PRIMACY_E_PANIC)
            return true;
    }
    lua_pop(L, 1);
    return false;
}

/* primacy.open(config[, {blocking = false}]): one object in a state however often it is called. */
int instance_open(lua_State *L)
{
    struct config_box *config;
    struct instance_box *own;
    bool blocking = false;
    int32_t code;
    int at;

    lua_settop(L, 2);
    if (!read_options(L, 2, &blocking))
        return 3;
    if (lua_type(L, 1) != LUA_TTABLE) {
        if (lua_type(L, 1) != LUA_TSTRING)
            luaL_checkudata(L, 1, CONFIG_TYPE);
        config_journal(L, 1);
        if (still_open(L))
            return 1;
    }
    config = config_from(L, 1);
    if (config == NULL)
        return 3;
    at = lua_istable(L, 1) || lua_type(L, 1) == LUA_TSTRING ? lua_gettop(L) : 1;
    if (lua_istable(L, 1)) {
        config_journal(L, at);
        if (still_open(L))
            return 1;
    }
    own = push_instance(L, blocking);
    code = primacy_open(config->handle, &own->handle);
    if (code < 0)
        return fail(L, code);
    push_opened(L);
    config_journal(L, at);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return 1;
}

/* No open of this state finds the instance any more. */
static void forget(lua_State *L, int instance)
{
    push_opened(L);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        if (lua_rawequal(L, -1, instance)) {
            lua_pop(L, 1);
            lua_pushvalue(L, -1);
            lua_pushnil(L);
            lua_rawset(L, -4);
        } else {
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static int answer(lua_State *L, int32_t code)
{
    if (code < 0)
        return fail(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

/* p:start() */
static int start(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    int32_t code;

    if (own == NULL)
        return 3;
    code = primacy_start(own->handle);
    own->runs = own->runs || code >= 0;
    return answer(L, code);
}

/* p:stop() */
static int stop(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);

    if (own == NULL)
        return 3;
    forget(L, 1);
    return answer(L, primacy_stop(own->handle));
}

/* p:close(): gives up this reference. Closing twice is fine. */
static int close_instance(lua_State *L)
{
    struct instance_box *own = luaL_checkudata(L, 1, INSTANCE_TYPE);
    primacy_instance *handle = own->handle;

    if (handle == NULL) {
        lua_pushboolean(L, 1);
        return 1;
    }
    forget(L, 1);
    lua_newtable(L);
    set_kept(L, 1);
    own->handle = NULL;
    return answer(L, primacy_instance_free(handle));
}

/* The state may be closing, so its registry is left alone. */
static int collect(lua_State *L)
{
    struct instance_box *own = luaL_checkudata(L, 1, INSTANCE_TYPE);
    primacy_instance *handle = own->handle;

    own->handle = NULL;
    primacy_instance_free(handle);
    return 0;
}

/* p:fd() */
static int fd(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    int32_t code;

    if (own == NULL)
        return 3;
    code = primacy_fd(own->handle);
    if (code < 0)
        return fail(L, code);
    own->runs = true;
    lua_pushinteger(L, code);
    return 1;
}

/* p:dispatch() */
static int dispatch(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    int32_t code;

    if (own == NULL)
        return 3;
    code = primacy_dispatch(own->handle);
    if (code < 0)
        return fail(L, code);
    lua_pushinteger(L, code);
    return 1;
}

/* p:reload(config) */
static int reload(lua_State *L)
{
    struct instance_box *own;
    struct config_box *config;
    int32_t code;
    bool kept;

    lua_settop(L, 2);
    own = instance_check(L, 1);
    if (own == NULL || !may_block(L, own, TIME_primacy_reload))
        return 3;
    config = config_from(L, 2);
    if (config == NULL)
        return 3;
    code = primacy_reload(own->handle, config->handle);
    if (code < 0)
        return fail(L, code);
    /* Only who asks for the new configuration finds it now. */
    config_journal(L, lua_gettop(L));
    push_opened(L);
    lua_pushnil(L);
    for (kept = false; !kept && lua_next(L, -2) != 0; lua_pop(L, 1))
        kept = lua_rawequal(L, -1, 1);
    if (kept)
        lua_pop(L, 1);
    lua_pop(L, 1);
    forget(L, 1);
    if (kept) {
        push_opened(L);
        lua_insert(L, -2);
        lua_pushvalue(L, 1);
        lua_rawset(L, -3);
    }
    return answer(L, 0);
}

/* p:run_cycle(pool[, seconds]) */
static int run_cycle(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    const char *pool;
    int64_t timeout = 10000;

    if (own == NULL || !text_argument(L, 2, "pool", &pool) ||
        !seconds_argument(L, 3, "timeout", 0, UINT32_MAX, &timeout) || !may_block(L, own, TIME_primacy_run_cycle))
        return 3;
    return answer(L, primacy_run_cycle(own->handle, pool, (uint32_t)timeout));
}

/* p:active(pool): the address; a lone nil if no node takes the clients now. */
static int active(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    const char *pool;

    if (own == NULL || !text_argument(L, 2, "pool", &pool))
        return 3;
    PUSH_TEXT(L, primacy_active(own->handle, pool, buf, len));
    if (raw_length(L, -1) == 0)
        lua_pushnil(L);
    return 1;
}

/* p:explain(pool) */
static int explain(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    const char *pool;

    if (own == NULL || !text_argument(L, 2, "pool", &pool))
        return 3;
    PUSH_TEXT(L, primacy_explain(own->handle, pool, buf, len));
    return 1;
}

/* p:budget(pool) */
static int budget(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    const char *pool;

    if (own == NULL || !text_argument(L, 2, "pool", &pool))
        return 3;
    PUSH_TEXT(L, primacy_budget(own->handle, pool, buf, len));
    return 1;
}

/* p:budget_json(pool) */
static int budget_json(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);
    const char *pool;

    if (own == NULL || !text_argument(L, 2, "pool", &pool))
        return 3;
    PUSH_TEXT(L, primacy_budget_json(own->handle, pool, buf, len));
    return 1;
}

/* p:metrics() */
static int metrics(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);

    if (own == NULL)
        return 3;
    PUSH_TEXT(L, primacy_metrics_text(own->handle, buf, len));
    return 1;
}

static int to_string(lua_State *L)
{
    struct instance_box *own = luaL_checkudata(L, 1, INSTANCE_TYPE);

    lua_pushfstring(L, "%s (%p)", own->handle != NULL ? INSTANCE_TYPE : INSTANCE_TYPE ", closed", (void *)own);
    return 1;
}

static const luaL_Reg methods[] = {
    {"start", start},     {"stop", stop},           {"close", close_instance}, {"fd", fd},
    {"dispatch", dispatch}, {"reload", reload},     {"run_cycle", run_cycle},  {"active", active},
    {"explain", explain}, {"budget", budget},       {"budget_json", budget_json}, {"metrics", metrics},
    {NULL, NULL},
};

void instance_register(lua_State *L, const luaL_Reg *const *more)
{
    new_type(L, INSTANCE_TYPE, methods, collect, close_instance);
    lua_pushcfunction(L, to_string);
    lua_setfield(L, -2, "__tostring");
    lua_getfield(L, -1, "__index");
    for (; *more != NULL; more++)
        set_functions(L, *more);
    lua_pop(L, 2);

    push_opened(L);
    if (lua_isnil(L, -1)) {
        lua_pushlightuserdata(L, (void *)&opened);
        lua_newtable(L);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
    lua_pop(L, 1);
}
