/* Floating addresses. */
#include "module.h"

/* Reads instance and one name; what comes back when the call may not block is nil, text and code. */
static struct instance_box *about(lua_State *L, const char *what, const char **name, enum time_class time)
{
    struct instance_box *own = instance_check(L, 1);

    if (own == NULL || !text_argument(L, 2, what, name) || !may_block(L, own, time))
        return NULL;
    return own;
}

static int done(lua_State *L, int32_t code)
{
    if (code < 0)
        return fail(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t count)
{
    lua_pushnumber(L, (lua_Number)count);
    lua_setfield(L, -2, name);
}

/* A verdict that nobody gave yet is no field. */
static void set_verdict(lua_State *L, const char *name, int32_t verdict)
{
    if (verdict < 0)
        return;
    lua_pushboolean(L, verdict != 0);
    lua_setfield(L, -2, name);
}

/* p:vip_status_json(): the whole tier, seen from this host. */
static int vip_status_json(lua_State *L)
{
    struct instance_box *own = instance_check(L, 1);

    if (own == NULL || !may_block(L, own, TIME_primacy_vip_status_json))
        return 3;
    PUSH_TEXT(L, primacy_vip_status_json(own->handle, buf, len));
    return 1;
}

/* p:vip(name): this host's part in it. */
static int vip_get(lua_State *L)
{
    primacy_vip vip;
    const char *name;
    struct instance_box *own = about(L, "vip", &name, TIME_primacy_vip_get);
    int32_t code;

    if (own == NULL)
        return 3;
    memset(&vip, 0, sizeof vip);
    vip.size = sizeof vip;
    code = primacy_vip_get(own->handle, name, &vip);
    if (code < 0)
        return fail(L, code);
    lua_createtable(L, 0, 14);
    lua_pushboolean(L, vip.owns != 0);
    lua_setfield(L, -2, "owns");
    push_word(L, &vip_stage_words, vip.stage);
    lua_setfield(L, -2, "stage");
    set_count(L, "score", vip.score);
    set_count(L, "score_rule", vip.score_rule);
    set_count(L, "place_rule", vip.place_rule);
    set_verdict(L, "local", vip.local);
    set_verdict(L, "backend", vip.backend);
    set_count(L, "failures", vip.failures);
    set_count(L, "owner_count", vip.owner_count);
    push_u64(L, vip.epoch);
    lua_setfield(L, -2, "epoch");
    push_u64(L, vip.highest_epoch);
    lua_setfield(L, -2, "highest_epoch");
    set_count(L, "barred_ms", vip.barred_ms);
    set_count(L, "claims", vip.claims);
    set_count(L, "releases", vip.releases);
    set_count(L, "down_interval_ms", vip.down_interval_ms);
    return 1;
}

/* p:vip_owner(name): the host; a lone nil if none is known to own it. */
static int vip_owner(lua_State *L)
{
    const char *name;
    struct instance_box *own = about(L, "vip", &name, TIME_primacy_vip_owner);

    if (own == NULL)
        return 3;
    PUSH_TEXT(L, primacy_vip_owner(own->handle, name, buf, len));
    if (raw_length(L, -1) == 0)
        lua_pushnil(L);
    return 1;
}

/* p:vip_move(name, host) */
static int vip_move(lua_State *L)
{
    const char *name, *host;
    struct instance_box *own = about(L, "vip", &name, TIME_primacy_vip_move);

    if (own == NULL || !text_argument(L, 3, "host", &host))
        return 3;
    return done(L, primacy_vip_move(own->handle, name, host));
}

/* p:vip_clear(name) */
static int vip_clear(lua_State *L)
{
    const char *name;
    struct instance_box *own = about(L, "vip", &name, TIME_primacy_vip_clear);

    if (own == NULL)
        return 3;
    return done(L, primacy_vip_clear(own->handle, name));
}

/* p:vip_standby(host[, false to let it in again]) */
static int vip_standby(lua_State *L)
{
    const char *host;
    struct instance_box *own = about(L, "host", &host, TIME_primacy_vip_standby);
    bool on = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);

    if (own == NULL)
        return 3;
    return done(L, primacy_vip_standby(own->handle, host, on ? 1 : 0));
}

/* p:vip_report(name, good[, words]) */
static int vip_report(lua_State *L)
{
    const char *name, *words = NULL;
    struct instance_box *own = about(L, "vip", &name, TIME_primacy_vip_report);

    luaL_checktype(L, 3, LUA_TBOOLEAN);
    if (own == NULL || !optional_text(L, 4, "words", &words))
        return 3;
    return done(L, primacy_vip_report(own->handle, name, lua_toboolean(L, 3), words == NULL ? "" : words));
}

const luaL_Reg vip_methods[] = {
    {"vip_status_json", vip_status_json}, {"vip", vip_get},         {"vip_owner", vip_owner},   {"vip_move", vip_move},
    {"vip_clear", vip_clear},             {"vip_standby", vip_standby}, {"vip_report", vip_report}, {NULL, NULL},
};
