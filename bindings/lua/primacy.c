/*
 * The Lua module `primacy`, for Lua 5.1, LuaJIT, 5.3 and 5.4: configuration, instances, what they are told and asked, events and
 * selectors. docs/lua.md is its page.
 */
#include "module.h"

void new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction collect, lua_CFunction close)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    set_functions(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
    /* A script that could change it could make __gc run on something else. */
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
}

/* primacy.cause_class(cause) */
static int cause_class(lua_State *L)
{
    const char *name;
    int32_t number;

    if (!text_argument(L, 1, "cause", &name))
        return 3;
    number = primacy_cause_from_name(name);
    if (number >= 0)
        number = primacy_cause_class(number);
    if (number < 0)
        return fail(L, number);
    push_word(L, &class_words, number);
    return 1;
}

/* primacy.rule_text(rule) */
static int rule_text(lua_State *L)
{
    lua_Number rule;

    luaL_checktype(L, 1, LUA_TNUMBER);
    rule = lua_tonumber(L, 1);
    if (!(rule >= 0 && rule <= 4294967295.0))
        return complain(L, PRIMACY_E_NOT_FOUND, "there is no rule %f", rule);
    PUSH_TEXT(L, primacy_rule_text((uint32_t)rule, buf, len));
    return 1;
}

/* primacy.version(): of the loaded library, and the number of the contract that it keeps */
static int version(lua_State *L)
{
    lua_pushstring(L, primacy_version());
    push_whole(L, primacy_abi_version());
    return 2;
}

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_primacy(lua_State *L);

int luaopen_primacy(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"config", config_new},
        {"new", instance_new},
        {"open", instance_open},
        {"allow_blocking", instance_allow_blocking},
        {"proxy_command", proxy_command},
        {"cause_class", cause_class},
        {"rule_text", rule_text},
        {"version", version},
        {NULL, NULL},
    };
    static const luaL_Reg *const of_instances[] = {
        observation_methods, command_methods, snapshot_methods, event_methods, selector_methods, vip_methods, NULL,
    };

    if (primacy_abi_version() < PRIMACY_ABI_VERSION)
        return luaL_error(L, "this module was made for contract %d of libprimacy, the library that was found (%s) keeps %d",
                          (int)PRIMACY_ABI_VERSION, primacy_version(), (int)primacy_abi_version());
    config_register(L);
    instance_register(L, of_instances);
    snapshot_register(L);
    events_register(L);
    selector_register(L);
    lua_newtable(L);
    set_functions(L, functions);
    push_constants(L);
    lua_pushliteral(L, PRIMACY_VERSION);
    lua_setfield(L, -2, "_VERSION");
    return 1;
}
