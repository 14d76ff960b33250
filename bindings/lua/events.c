/* Queues of events. */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "module.h"

#define EVENTS_TYPE "primacy.events"

/* How long one wait may be, in milliseconds. */
#define WAIT_MOST INT64_C(86400000)

struct events_box {
    primacy_events *handle;
    bool blocking;
};

static struct events_box *check_events(lua_State *L, int index)
{
    struct events_box *own = luaL_checkudata(L, index, EVENTS_TYPE);

    if (own->handle == NULL) {
        complain(L, PRIMACY_E_HANDLE, "the queue of events was closed");
        return NULL;
    }
    return own;
}

/* The words of an array as bits. */
static bool field_kinds(lua_State *L, int index, uint64_t *kinds)
{
    size_t count;

    if (!field_present(L, index, "kinds"))
        return true;
    lua_getfield(L, index, "kinds");
    luaL_checktype(L, -1, LUA_TTABLE);
    count = raw_length(L, -1);
    for (size_t at = 1; at <= count; at++) {
        int32_t kind = 0;

        lua_rawgeti(L, -1, (int)at);
        if (!word_argument(L, lua_gettop(L), "kinds", &event_kind_words, &kind))
            return false;
        *kinds |= UINT64_C(1) << kind;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return true;
}

/* p:events([{kinds = {"switch", ...}, severity = "warning", pool = "orders", capacity = 1024}]) */
static int events(lua_State *L)
{
    static const char *const known[] = {"kinds", "severity", "pool", "capacity", NULL};
    struct instance_box *instance;
    struct primacy_event_filter filter;
    struct events_box *own;
    uint32_t capacity = 1024;
    int32_t code;

    memset(&filter, 0, sizeof filter);
    filter.size = sizeof filter;
    lua_settop(L, 2);
    instance = instance_check(L, 1);
    if (instance == NULL || !options_argument(L, 2, known) ||
        !field_word(L, 2, "severity", &severity_words, &filter.severity) || !field_text(L, 2, "pool", &filter.pool) ||
        !field_u32(L, 2, "capacity", &capacity) || !field_kinds(L, 2, &filter.kinds))
        return 3;
    own = lua_newuserdata(L, sizeof *own);
    own->handle = NULL;
    own->blocking = instance->blocking;
    luaL_getmetatable(L, EVENTS_TYPE);
    lua_setmetatable(L, -2);
    keep_instance(L, 1);
    code = primacy_events_new(instance->handle, &filter, capacity, &own->handle);
    return code < 0 ? fail(L, code) : 1;
}

static void set(lua_State *L, const char *name)
{
    lua_setfield(L, -2, name);
}

/* A lone nil if the queue is empty. */
static int take(lua_State *L, struct events_box *own)
{
    struct primacy_event event;
    int32_t code;

    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    /* Room first: once the event is out of the queue nobody else can have it. */
    luaL_checkstack(L, 8, NULL);
    lua_createtable(L, 0, 16);
    code = primacy_events_next(own->handle, &event);
    if (code < 0)
        return fail(L, code);
    if (code == 0) {
        lua_pushnil(L);
        return 1;
    }
    push_word(L, &event_kind_words, event.kind);
    set(L, "kind");
    push_word(L, &severity_words, event.severity);
    set(L, "severity");
    push_word(L, &cause_words, event.cause);
    set(L, "cause");
    push_u64(L, event.sequence);
    set(L, "sequence");
    push_u64(L, event.mono_ns);
    set(L, "mono_ns");
    push_whole(L, event.wall_ms);
    set(L, "wall_ms");
    push_u64(L, event.epoch);
    set(L, "epoch");
    push_u64(L, event.count);
    set(L, "count");
    push_word(L, &state_words, event.old_state);
    set(L, "old_state");
    push_word(L, &state_words, event.new_state);
    set(L, "new_state");
    push_word(L, &status_words, event.old_status);
    set(L, "old_status");
    push_word(L, &status_words, event.new_status);
    set(L, "new_status");
    push_whole(L, event.rule);
    set(L, "rule");
    lua_pushstring(L, event.pool);
    set(L, "pool");
    lua_pushstring(L, event.node);
    set(L, "node");
    lua_pushstring(L, event.message);
    set(L, "message");
    return 1;
}

/* queue:next(); as `for event in queue.next, queue do` */
static int next(lua_State *L)
{
    struct events_box *own = check_events(L, 1);

    return own == NULL ? 3 : take(L, own);
}

/* queue:fd() */
static int fd(lua_State *L)
{
    struct events_box *own = check_events(L, 1);
    int32_t code;

    if (own == NULL)
        return 3;
    code = primacy_events_fd(own->handle);
    if (code < 0)
        return fail(L, code);
    lua_pushinteger(L, code);
    return 1;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* queue:wait(seconds): the next event; a lone nil if none came in that time. */
static int wait_event(lua_State *L)
{
    struct events_box *own = check_events(L, 1);
    struct pollfd watched = {-1, POLLIN, 0};
    int64_t timeout = 0, end;
    int32_t code;

    if (own == NULL)
        return 3;
    luaL_checktype(L, 2, LUA_TNUMBER);
    if (!seconds_argument(L, 2, "seconds", 0, WAIT_MOST, &timeout))
        return 3;
    if (timeout > 0 && !own->blocking && !blocking_allowed(L))
        return complain(L, WOULD_BLOCK, "would block");
    code = primacy_events_fd(own->handle);
    if (code < 0)
        return fail(L, code);
    watched.fd = code;
    end = now_ms() + timeout;
    while (poll(&watched, 1, (int)timeout) < 0 && errno == EINTR && (timeout = end - now_ms()) > 0)
        ;
    return take(L, own);
}

static int close_events(lua_State *L)
{
    struct events_box *own = luaL_checkudata(L, 1, EVENTS_TYPE);
    primacy_events *handle = own->handle;

    own->handle = NULL;
    primacy_events_free(handle);
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg event_methods[] = {{"events", events}, {NULL, NULL}};

void events_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"next", next}, {"fd", fd}, {"wait", wait_event}, {"close", close_events}, {NULL, NULL},
    };

    new_type(L, EVENTS_TYPE, methods, close_events, close_events);
    lua_pop(L, 1);
}
