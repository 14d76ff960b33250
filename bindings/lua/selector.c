/*
 * Selectors and the backends that they give. The library's structure lies in the backend's userdata: what it says are fields of the
 * userdata, and its token never leaves it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "module.h"

#define SELECTOR_TYPE "primacy.selector"
#define BACKEND_TYPE "primacy.backend"

/* Slots to avoid that need no memory of Lua's. */
#define AVOID 32

struct selector_box {
    primacy_selector *handle;
    uint64_t id; /* of this state: a backend knows by it who gave it */
};

struct backend_box {
    primacy_backend given;
    uint64_t selector;
    bool released;
};

/* Registry: the last id, in a userdata. */
static const char last_id;

static struct selector_box *check_selector(lua_State *L, int index)
{
    struct selector_box *own = luaL_checkudata(L, index, SELECTOR_TYPE);

    if (own->handle == NULL) {
        complain(L, PRIMACY_E_HANDLE, "the selector was closed");
        return NULL;
    }
    return own;
}

/* A backend that this selector gave. */
static struct backend_box *check_backend(lua_State *L, int index, const struct selector_box *own)
{
    struct backend_box *backend = luaL_checkudata(L, index, BACKEND_TYPE);

    if (backend->selector != own->id) {
        complain(L, PRIMACY_E_INVALID, "another selector gave this backend");
        return NULL;
    }
    return backend;
}

/* A whole number, or its digits: Lua's numbers end at 2^53, seeds at 2^64. */
static bool field_seed(lua_State *L, int index, uint64_t *seed)
{
    if (!field_present(L, index, "seed"))
        return true;
    lua_getfield(L, index, "seed");
    if (lua_type(L, -1) == LUA_TNUMBER) {
        double number = lua_tonumber(L, -1);

        if (!(number >= 0 && number <= 9007199254740992.0) || number != (double)(uint64_t)number) {
            complain(L, PRIMACY_E_INVALID, "`seed` is %f; it must be a whole number up to 2^53, or digits", (lua_Number)number);
            return false;
        }
        *seed = (uint64_t)number;
    } else {
        const char *digits, *at;
        uint64_t value = 0;

        if (!text_argument(L, lua_gettop(L), "seed", &digits))
            return false;
        for (at = digits; *at >= '0' && *at <= '9'; at++) {
            uint64_t digit = (uint64_t)(*at - '0');

            if (value > (UINT64_MAX - digit) / 10)
                break;
            value = value * 10 + digit;
        }
        if (at == digits || *at != '\0') {
            complain(L, PRIMACY_E_INVALID, "`seed` is '%s'; it must be digits of a number below 2^64", digits);
            return false;
        }
        *seed = value;
    }
    lua_pop(L, 1);
    return true;
}

static uint64_t next_id(lua_State *L)
{
    uint64_t *last;

    lua_pushlightuserdata(L, (void *)&last_id);
    lua_rawget(L, LUA_REGISTRYINDEX);
    last = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return ++*last;
}

/* p:selector(service[, {seed =, site =}]): the same one for the same words, as long as it is not closed. */
static int selector(lua_State *L)
{
    static const char *const known[] = {"seed", "site", NULL};
    struct primacy_selector_options options;
    struct instance_box *instance;
    struct selector_box *own;
    const char *service;
    int32_t code;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    lua_settop(L, 3);
    instance = instance_check(L, 1);
    if (instance == NULL || !text_argument(L, 2, "service", &service) || !options_argument(L, 3, known) ||
        !field_text(L, 3, "site", &options.site) || !field_seed(L, 3, &options.seed))
        return 3;

    push_kept(L, 1); /* index 4: the instance's selectors by service and options */
    lua_pushfstring(L, "%s %s ", service, options.site != NULL ? options.site : "");
    push_u64(L, options.seed);
    lua_concat(L, 2); /* index 5 */
    lua_pushvalue(L, 5);
    lua_rawget(L, 4);
    own = lua_touserdata(L, -1);
    if (own != NULL && own->handle != NULL)
        return 1;
    lua_pop(L, 1);

    own = lua_newuserdata(L, sizeof *own);
    own->handle = NULL;
    own->id = next_id(L);
    luaL_getmetatable(L, SELECTOR_TYPE);
    lua_setmetatable(L, -2);
    keep_instance(L, 1);
    code = primacy_selector_new(instance->handle, service, &options, &own->handle);
    if (code < 0)
        return fail(L, code);
    lua_pushvalue(L, 5);
    lua_pushvalue(L, -2);
    lua_rawset(L, 4);
    return 1;
}

/* The slots of an array of backends and numbers. More than `room` of them lie in a userdata that stays on the stack. */
static bool field_avoid(lua_State *L, int index, uint32_t *room, primacy_select_options *options)
{
    size_t count;

    if (!field_present(L, index, "avoid"))
        return true;
    lua_getfield(L, index, "avoid");
    luaL_checktype(L, -1, LUA_TTABLE);
    count = raw_length(L, -1);
    if (count > INT32_MAX / sizeof *room) {
        complain(L, PRIMACY_E_INVALID, "`avoid` has too many elements");
        return false;
    }
    if (count > AVOID) {
        room = lua_newuserdata(L, count * sizeof *room);
        lua_insert(L, -2);
    }
    for (size_t at = 0; at < count; at++) {
        lua_rawgeti(L, -1, (int)at + 1);
        if (lua_type(L, -1) == LUA_TNUMBER) {
            double slot = lua_tonumber(L, -1);

            if (!(slot >= 0 && slot <= 4294967295.0) || slot != (double)(uint32_t)slot) {
                complain(L, PRIMACY_E_INVALID, "`avoid` has %f, which is no slot", (lua_Number)slot);
                return false;
            }
            room[at] = (uint32_t)slot;
        } else {
            room[at] = ((struct backend_box *)luaL_checkudata(L, lua_gettop(L), BACKEND_TYPE))->given.slot;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    options->avoid = room;
    options->avoid_count = (uint32_t)count;
    return true;
}

/* s:select([{min_gtid =, stale_ok =, avoid =}]) */
static int select_backend(lua_State *L)
{
    static const char *const known[] = {"min_gtid", "stale_ok", "avoid", NULL};
    struct primacy_select_options options;
    struct selector_box *own;
    struct backend_box *backend;
    uint32_t slots[AVOID];
    bool stale_ok = false;
    int32_t code;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    lua_settop(L, 2);
    own = check_selector(L, 1);
    if (own == NULL || !options_argument(L, 2, known) || !field_text(L, 2, "min_gtid", &options.min_gtid) ||
        !field_flag(L, 2, "stale_ok", &stale_ok) || !field_avoid(L, 2, slots, &options))
        return 3;
    if (stale_ok)
        options.flags |= PRIMACY_SELECT_STALE_OK;

    /* First the room: what select counts must not be lost to a lack of memory. */
    backend = lua_newuserdata(L, sizeof *backend);
    memset(backend, 0, sizeof *backend);
    backend->given.size = sizeof backend->given;
    backend->selector = own->id;
    luaL_getmetatable(L, BACKEND_TYPE);
    lua_setmetatable(L, -2);
#if LUA_VERSION_NUM >= 504
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
#endif
    /* Without options the library takes its shortest way. */
    code = primacy_select(own->handle, lua_isnil(L, 2) ? NULL : &options, &backend->given);
    return code < 0 ? fail(L, code) : 1;
}

#if LUA_VERSION_NUM >= 504
/* A variable that closes releases what was not released; its selector may be closed already. */
static int close_backend(lua_State *L)
{
    struct backend_box *backend = luaL_checkudata(L, 1, BACKEND_TYPE);
    const struct selector_box *own;

    lua_getiuservalue(L, 1, 1);
    own = luaL_testudata(L, -1, SELECTOR_TYPE);
    if (!backend->released && own != NULL && own->handle != NULL && primacy_release(own->handle, &backend->given) >= 0)
        backend->released = true;
    return 0;
}
#endif

/* s:release(backend): once. */
static int release(lua_State *L)
{
    struct selector_box *own = check_selector(L, 1);
    struct backend_box *backend;
    int32_t code;

    if (own == NULL || (backend = check_backend(L, 2, own)) == NULL)
        return 3;
    if (backend->released)
        return complain(L, PRIMACY_E_STATE, "the backend was released before");
    code = primacy_release(own->handle, &backend->given);
    if (code < 0)
        return fail(L, code);
    backend->released = true;
    lua_pushboolean(L, 1);
    return 1;
}

/* s:report(backend, outcome) */
static int report(lua_State *L)
{
    struct selector_box *own = check_selector(L, 1);
    struct backend_box *backend;
    int32_t outcome, code;

    if (own == NULL || (backend = check_backend(L, 2, own)) == NULL ||
        !word_argument(L, 3, "outcome", &report_outcome_words, &outcome))
        return 3;
    code = primacy_report(own->handle, &backend->given, outcome);
    if (code < 0)
        return fail(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

/* s:current(backend): "stays", "drains" or "ends". */
static int current(lua_State *L)
{
    struct selector_box *own = check_selector(L, 1);
    struct backend_box *backend;
    int32_t code;

    if (own == NULL || (backend = check_backend(L, 2, own)) == NULL)
        return 3;
    code = primacy_backend_current(own->handle, &backend->given);
    if (code < 0)
        return fail(L, code);
    lua_pushstring(L, code == PRIMACY_SESSION_STAYS ? "stays" : code == PRIMACY_SESSION_DRAINS ? "drains" : "ends");
    return 1;
}

/* s:node_name(backend or slot) */
static int node_name(lua_State *L)
{
    struct selector_box *own = check_selector(L, 1);
    uint32_t slot;

    if (own == NULL)
        return 3;
    if (lua_type(L, 2) == LUA_TNUMBER) {
        double number = lua_tonumber(L, 2);

        if (!(number >= 0 && number <= 4294967295.0) || number != (double)(uint32_t)number)
            return complain(L, PRIMACY_E_INVALID, "%f is no slot", (lua_Number)number);
        slot = (uint32_t)number;
    } else {
        struct backend_box *backend = check_backend(L, 2, own);

        if (backend == NULL)
            return 3;
        slot = backend->given.slot;
    }
    PUSH_TEXT(L, primacy_node_name(own->handle, slot, buf, len));
    return 1;
}

/* s:reason() */
static int reason(lua_State *L)
{
    struct selector_box *own = check_selector(L, 1);

    if (own == NULL)
        return 3;
    PUSH_TEXT(L, primacy_select_reason(own->handle, buf, len));
    return 1;
}

static int close_selector(lua_State *L)
{
    struct selector_box *own = luaL_checkudata(L, 1, SELECTOR_TYPE);
    primacy_selector *handle = own->handle;

    own->handle = NULL;
    primacy_selector_free(handle);
    lua_pushboolean(L, 1);
    return 1;
}

/* The host of an internet address; false for a Unix socket. */
static bool host_of(const primacy_backend *given, char *host, size_t room, unsigned *port)
{
    switch (given->address.in4.sin_family) {
    case AF_INET:
        *port = ntohs(given->address.in4.sin_port);
        return inet_ntop(AF_INET, &given->address.in4.sin_addr, host, (socklen_t)room) != NULL;
    case AF_INET6:
        *port = ntohs(given->address.in6.sin6_port);
        return inet_ntop(AF_INET6, &given->address.in6.sin6_addr, host, (socklen_t)room) != NULL;
    default:
        return false;
    }
}

static void push_path(lua_State *L, const primacy_backend *given)
{
    const char *path = given->address.un.sun_path, *end = memchr(path, '\0', sizeof given->address.un.sun_path);

    lua_pushlstring(L, path, end != NULL ? (size_t)(end - path) : sizeof given->address.un.sun_path);
}

static void push_address(lua_State *L, const primacy_backend *given)
{
    char host[INET6_ADDRSTRLEN];
    unsigned port;

    if (!host_of(given, host, sizeof host, &port))
        push_path(L, given);
    else
        lua_pushfstring(L, given->address.in4.sin_family == AF_INET6 ? "[%s]:%d" : "%s:%d", host, (int)port);
}

/* A field by name; nil for one that there is not. */
static int backend_index(lua_State *L)
{
    const struct backend_box *backend = luaL_checkudata(L, 1, BACKEND_TYPE);
    const primacy_backend *given = &backend->given;
    const char *name = luaL_checkstring(L, 2);
    char host[INET6_ADDRSTRLEN];
    unsigned port;
    bool internet = host_of(given, host, sizeof host, &port);

    if (strcmp(name, "address") == 0)
        push_address(L, given);
    else if (strcmp(name, "host") == 0 && internet)
        lua_pushstring(L, host);
    else if (strcmp(name, "port") == 0 && internet)
        push_whole(L, port);
    else if (strcmp(name, "path") == 0 && !internet)
        push_path(L, given);
    else if (strcmp(name, "slot") == 0)
        push_whole(L, given->slot);
    else if (strcmp(name, "generation") == 0)
        push_u64(L, given->generation);
    else if (strcmp(name, "epoch") == 0)
        push_u64(L, given->epoch);
    else if (strcmp(name, "reason") == 0)
        push_word(L, &reason_words, given->reason);
    else if (strcmp(name, "flags") == 0)
        push_whole(L, given->flags);
    else if (strcmp(name, "stale") == 0)
        lua_pushboolean(L, (given->flags & PRIMACY_BACKEND_STALE) != 0);
    else if (strcmp(name, "fallback") == 0)
        lua_pushboolean(L, (given->flags & PRIMACY_BACKEND_FALLBACK) != 0);
    else if (strcmp(name, "other_site") == 0)
        lua_pushboolean(L, (given->flags & PRIMACY_BACKEND_OTHER_SITE) != 0);
    else if (strcmp(name, "trial") == 0)
        lua_pushboolean(L, (given->flags & PRIMACY_BACKEND_TRIAL) != 0);
    else if (strcmp(name, "released") == 0)
        lua_pushboolean(L, backend->released);
    else
        lua_pushnil(L);
    return 1;
}

static int backend_text(lua_State *L)
{
    const struct backend_box *backend = luaL_checkudata(L, 1, BACKEND_TYPE);

    lua_pushliteral(L, BACKEND_TYPE " ");
    push_address(L, &backend->given);
    lua_concat(L, 2);
    return 1;
}

const luaL_Reg selector_methods[] = {{"selector", selector}, {NULL, NULL}};

void selector_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"select", select_backend}, {"release", release},     {"report", report},        {"current", current},
        {"node_name", node_name},   {"reason", reason},       {"close", close_selector}, {NULL, NULL},
    };

    new_type(L, SELECTOR_TYPE, methods, close_selector, close_selector);
    lua_pop(L, 1);

    luaL_newmetatable(L, BACKEND_TYPE);
    lua_pushcfunction(L, backend_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, backend_text);
    lua_setfield(L, -2, "__tostring");
#if LUA_VERSION_NUM >= 504
    lua_pushcfunction(L, close_backend);
    lua_setfield(L, -2, "__close");
#endif
    lua_pushliteral(L, BACKEND_TYPE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);

    lua_pushlightuserdata(L, (void *)&last_id);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_isnil(L, -1)) {
        lua_pushlightuserdata(L, (void *)&last_id);
        *(uint64_t *)lua_newuserdata(L, sizeof(uint64_t)) = 0;
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
    lua_pop(L, 1);
}
