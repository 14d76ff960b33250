/*
 * Configurations: an object that is put together call by call, or a path, or a table, wherever one is wanted:
 *
 *     {file = PATH, text = TOML, pools = {"name:...", ...}, set = {["pool.orders.policy"] = "mpp", ...}}
 *
 * Each has a journal: a text that is the same for configurations that were put together in the same way. By it primacy.open finds
 * what it opened before without reading a file.
 */
#include "module.h"

/* Registry: a table with weak keys, from a configuration to its journal. */
static const char journals;

static struct config_box *check_config(lua_State *L, int index)
{
    struct config_box *own = luaL_checkudata(L, index, CONFIG_TYPE);

    if (own->handle == NULL) {
        complain(L, PRIMACY_E_HANDLE, "the configuration was closed");
        return NULL;
    }
    return own;
}

static void push_journals(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&journals);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* Lengths keep one entry's words from looking like another's. */
static void note(lua_State *L, int config, const char *what, const char *a, size_t a_length, const char *b)
{
    config = absolute(L, config);
    push_journals(L);
    lua_pushvalue(L, config);
    lua_pushvalue(L, config);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "");
    }
    lua_pushfstring(L, "%s %d %d ", what, (int)a_length, (int)strlen(b));
    lua_pushlstring(L, a, a_length);
    lua_pushstring(L, b);
    lua_concat(L, 4);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static bool load_file(lua_State *L, int config, struct config_box *own, const char *path)
{
    int32_t code = primacy_config_load_file(own->handle, path);

    if (code < 0)
        fail(L, code);
    else
        note(L, config, "file", path, strlen(path), "");
    return code >= 0;
}

static bool load_text(lua_State *L, int config, struct config_box *own, const char *text, size_t length, const char *name)
{
    int32_t code = primacy_config_load_text(own->handle, text, length, name);

    if (code < 0)
        fail(L, code);
    else
        note(L, config, "text", text, length, name);
    return code >= 0;
}

static bool set_key(lua_State *L, int config, struct config_box *own, const char *key, const char *value)
{
    int32_t code = primacy_config_set(own->handle, key, value);

    if (code < 0)
        fail(L, code);
    else
        note(L, config, "set", key, strlen(key), value);
    return code >= 0;
}

static bool add_pool(lua_State *L, int config, struct config_box *own, const char *spec)
{
    int32_t code = primacy_config_add_pool(own->handle, spec);

    if (code < 0)
        fail(L, code);
    else
        note(L, config, "pool", spec, strlen(spec), "");
    return code >= 0;
}

static struct config_box *push_config(lua_State *L)
{
    struct config_box *own = lua_newuserdata(L, sizeof *own);
    int32_t code;

    own->handle = NULL;
    luaL_getmetatable(L, CONFIG_TYPE);
    lua_setmetatable(L, -2);
    code = primacy_config_new(&own->handle);
    if (code < 0) {
        fail(L, code);
        return NULL;
    }
    return own;
}

/* A value of a key as the library wants it: text. Leaves it on the stack in place of the value on top. */
static bool value_text(lua_State *L, const char *key, const char **text)
{
    if (lua_type(L, -1) == LUA_TBOOLEAN) {
        int set = lua_toboolean(L, -1);
        lua_pop(L, 1);
        lua_pushstring(L, set ? "true" : "false");
    } else if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER) {
        luaL_error(L, "the value of `%s` must be a string, number or boolean, not a %s", key, luaL_typename(L, -1));
    }
    lua_tolstring(L, -1, NULL);
    return text_argument(L, lua_gettop(L), "value", text);
}

/* Applies a table's fields to the configuration on top of the stack. */
static bool apply(lua_State *L, int table, struct config_box *own)
{
    static const char *const known[] = {"file", "text", "pools", "set", NULL};
    const char *path = NULL;
    int config = lua_gettop(L);

    if (!options_argument(L, table, known) || !field_text(L, table, "file", &path) ||
        (path != NULL && !load_file(L, config, own, path)))
        return false;
    if (field_present(L, table, "text")) {
        size_t length;
        const char *text;

        lua_getfield(L, table, "text");
        luaL_checktype(L, -1, LUA_TSTRING);
        text = lua_tolstring(L, -1, &length);
        if (!load_text(L, config, own, text, length, "text"))
            return false;
        lua_pop(L, 1);
    }
    if (field_present(L, table, "pools")) {
        size_t count;

        lua_getfield(L, table, "pools");
        luaL_checktype(L, -1, LUA_TTABLE);
        count = raw_length(L, -1);
        for (size_t at = 1; at <= count; at++) {
            const char *spec;

            lua_rawgeti(L, -1, (int)at);
            if (!text_argument(L, lua_gettop(L), "pools", &spec) || !add_pool(L, config, own, spec))
                return false;
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (field_present(L, table, "set")) {
        lua_getfield(L, table, "set");
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_pushnil(L);
        while (lua_next(L, -2) != 0) {
            const char *key, *value;

            luaL_checktype(L, -2, LUA_TSTRING);
            if (!text_argument(L, lua_gettop(L) - 1, "key", &key) || !value_text(L, key, &value) ||
                !set_key(L, config, own, key, value))
                return false;
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    return true;
}

struct config_box *config_from(lua_State *L, int index)
{
    struct config_box *own;

    if (lua_type(L, index) == LUA_TSTRING) {
        const char *path;

        if (!text_argument(L, index, "config", &path) || (own = push_config(L)) == NULL ||
            !load_file(L, lua_gettop(L), own, path))
            return NULL;
        return own;
    }
    if (lua_istable(L, index)) {
        index = absolute(L, index);
        own = push_config(L);
        return own != NULL && apply(L, index, own) ? own : NULL;
    }
    return check_config(L, index);
}

/* A table's is nil: it is known once a configuration was made of it. */
void config_journal(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *path;

        path = lua_tolstring(L, index, &length);
        lua_pushfstring(L, "file %d %d ", (int)length, 0);
        lua_pushlstring(L, path, length);
        lua_concat(L, 2);
    } else if (lua_istable(L, index)) {
        lua_pushnil(L);
    } else {
        index = absolute(L, index);
        push_journals(L);
        lua_pushvalue(L, index);
        lua_rawget(L, -2);
        lua_remove(L, -2);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushliteral(L, "");
        }
    }
}

/* primacy.config([path or table]) */
int config_new(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1))
        return push_config(L) != NULL ? 1 : 3;
    if (lua_type(L, 1) != LUA_TSTRING && lua_type(L, 1) != LUA_TTABLE)
        return luaL_argerror(L, 1, "a path or a table expected");
    return config_from(L, 1) != NULL ? 1 : 3;
}

/* config:load_file(path) */
static int config_load_file(lua_State *L)
{
    struct config_box *own = check_config(L, 1);
    const char *path;

    if (own == NULL || !text_argument(L, 2, "path", &path) || !load_file(L, 1, own, path))
        return 3;
    lua_settop(L, 1);
    return 1;
}

/* config:load_text(text[, name]) */
static int config_load_text(lua_State *L)
{
    struct config_box *own = check_config(L, 1);
    const char *text, *name = "text";
    size_t length;

    if (own == NULL)
        return 3;
    luaL_checktype(L, 2, LUA_TSTRING);
    text = lua_tolstring(L, 2, &length);
    if (!optional_text(L, 3, "name", &name) || !load_text(L, 1, own, text, length, name))
        return 3;
    lua_settop(L, 1);
    return 1;
}

/* config:set(key, value) */
static int config_set(lua_State *L)
{
    struct config_box *own = check_config(L, 1);
    const char *key, *value;

    if (own == NULL || !text_argument(L, 2, "key", &key))
        return 3;
    lua_settop(L, 3);
    if (!value_text(L, key, &value) || !set_key(L, 1, own, key, value))
        return 3;
    lua_settop(L, 1);
    return 1;
}

/* config:add_pool(spec) */
static int config_add_pool(lua_State *L)
{
    struct config_box *own = check_config(L, 1);
    const char *spec;

    if (own == NULL || !text_argument(L, 2, "spec", &spec) || !add_pool(L, 1, own, spec))
        return 3;
    lua_settop(L, 1);
    return 1;
}

static int config_close(lua_State *L)
{
    struct config_box *own = luaL_checkudata(L, 1, CONFIG_TYPE);
    primacy_config *handle = own->handle;

    own->handle = NULL;
    primacy_config_free(handle);
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg methods[] = {
    {"load_file", config_load_file}, {"load_text", config_load_text}, {"set", config_set}, {"add_pool", config_add_pool},
    {"close", config_close},         {NULL, NULL},
};

void config_register(lua_State *L)
{
    new_type(L, CONFIG_TYPE, methods, config_close, config_close);
    lua_pop(L, 1);

    push_journals(L);
    if (lua_isnil(L, -1)) {
        lua_pushlightuserdata(L, (void *)&journals);
        lua_newtable(L);
        lua_newtable(L);
        lua_pushliteral(L, "k");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
    lua_pop(L, 1);
}
