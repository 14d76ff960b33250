/*
 * What Lua 5.1, LuaJIT, 5.2, 5.3 and 5.4 call differently. Only what all of them have is used elsewhere.
 */
#ifndef PRIMACY_LUA_COMPAT_H
#define PRIMACY_LUA_COMPAT_H

#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

/* A length without metamethods. */
static inline size_t raw_length(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 502
    return (size_t)lua_rawlen(L, index);
#else
    return lua_objlen(L, index);
#endif
}

static inline int absolute(lua_State *L, int index)
{
    return index > 0 || index <= LUA_REGISTRYINDEX ? index : lua_gettop(L) + index + 1;
}

/* The table on top becomes what the userdata at `index` keeps alive, with whatever it leads back to. */
static inline void set_kept(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 504
    lua_setiuservalue(L, index, 1);
#elif LUA_VERSION_NUM >= 502
    lua_setuservalue(L, index);
#else
    lua_setfenv(L, index);
#endif
}

static inline void push_kept(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 504
    lua_getiuservalue(L, index, 1);
#elif LUA_VERSION_NUM >= 502
    lua_getuservalue(L, index);
#else
    lua_getfenv(L, index);
#endif
}

static inline void set_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name != NULL; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

/* A count that is known to stay below 2^53; an integer where Lua has them. */
static inline void push_whole(lua_State *L, uint64_t value)
{
#if LUA_VERSION_NUM >= 503
    lua_pushinteger(L, (lua_Integer)value);
#else
    lua_pushnumber(L, (lua_Number)value);
#endif
}

#endif
