/*
 * What the files of the Lua module share.
 *
 * No call into the library runs Lua code, so no error of Lua unwinds through the library. Lua may throw whenever it allocates: a
 * handle is therefore always written into a userdata that exists already, and texts come by way of the C stack or Lua's own memory.
 */
#ifndef PRIMACY_LUA_MODULE_H
#define PRIMACY_LUA_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <primacy.h>

#include "compat.h"

/* A word of the contract and its number. */
struct word {
    const char *name;
    int32_t number;
};

/* An enumeration of the header. */
struct enumeration {
    const char *name;
    const struct word *words;
    const char *(*text)(int32_t number);
};

#include "words.h"

/* Of the module alone: the library's numbers are negative. */
#define WOULD_BLOCK 1

/* Room for answers and for most texts. */
#define TEXT_ROOM 4096

/* words.c */
bool find_word(const struct enumeration *list, const char *name, int32_t *number);
void push_word(lua_State *L, const struct enumeration *list, int32_t number);
void push_constants(lua_State *L);

/*
 * arguments.c: what comes from Lua. A value of the wrong type raises an error; functions that give bool push nil, text and code for
 * a value out of range and give false, and their caller returns 3.
 */
int fail(lua_State *L, int32_t code);
int complain(lua_State *L, int32_t code, const char *format, ...);
bool text_argument(lua_State *L, int index, const char *name, const char **text);
bool optional_text(lua_State *L, int index, const char *name, const char **text);
bool word_argument(lua_State *L, int index, const char *name, const struct enumeration *list, int32_t *number);
bool seconds_argument(lua_State *L, int index, const char *name, int64_t least_ms, int64_t most_ms, int64_t *ms);
bool options_argument(lua_State *L, int index, const char *const *known);
bool field_present(lua_State *L, int index, const char *name);
bool field_text(lua_State *L, int index, const char *name, const char **text);
bool field_u32(lua_State *L, int index, const char *name, uint32_t *value);
bool field_word(lua_State *L, int index, const char *name, const struct enumeration *list, int32_t *number);
bool field_seconds(lua_State *L, int index, const char *name, int64_t least, int64_t most, int64_t scale, int64_t *value);
bool field_flag(lua_State *L, int index, const char *name, bool *value);
void push_u64(lua_State *L, uint64_t value);

/* config.c */
#define CONFIG_TYPE "primacy.config"
struct config_box {
    primacy_config *handle;
};
void config_register(lua_State *L);
int config_new(lua_State *L);
/* The configuration at `index`, or a new one, pushed, for a path or table; NULL with nil, text and code pushed. */
struct config_box *config_from(lua_State *L, int index);
/* Pushes the text that tells a configuration from others. */
void config_journal(lua_State *L, int index);

/* instance.c */
#define INSTANCE_TYPE "primacy.instance"
struct instance_box {
    primacy_instance *handle;
    bool blocking; /* calls on this one may block */
    bool runs;     /* start or fd worked on this one, so that the library writes the cache behind the caller's back */
};
void instance_register(lua_State *L, const luaL_Reg *const *more);
int instance_new(lua_State *L);
int instance_open(lua_State *L);
int instance_allow_blocking(lua_State *L);
/* The instance at `index`, or NULL with nil, text and code pushed. */
struct instance_box *instance_check(lua_State *L, int index);
/* Whether a call of that class may be made; else nil, "would block" and the code are pushed. */
bool may_block(lua_State *L, const struct instance_box *own, enum time_class time);
bool blocking_allowed(lua_State *L);
/* The object on top keeps the instance at `index` from being collected. */
void keep_instance(lua_State *L, int index);

extern const luaL_Reg observation_methods[]; /* observation.c */
extern const luaL_Reg command_methods[];     /* commands.c */
int proxy_command(lua_State *L);
extern const luaL_Reg snapshot_methods[];    /* snapshot.c */
extern const luaL_Reg event_methods[];       /* events.c */
extern const luaL_Reg selector_methods[];    /* selector.c */
extern const luaL_Reg vip_methods[];         /* vip.c */
void snapshot_register(lua_State *L);
void events_register(lua_State *L);
void selector_register(lua_State *L);

/* A metatable with methods of its own, left on the stack: __gc is `collect`, in 5.4 __close is `close`. */
void new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction collect, lua_CFunction close);

/*
 * Pushes the text that `call` writes into `buf` of `len` bytes; the call is repeated until the text fits, so it must change
 * nothing. Returns from the function around it on failure.
 */
#define PUSH_TEXT(L, call) \
    do { \
        char text_small[TEXT_ROOM], *buf = text_small; \
        size_t len = sizeof text_small; \
        int32_t text_length; \
        while ((text_length = (call)) >= 0 && (size_t)text_length >= len) { \
            len = (size_t)text_length + (size_t)text_length / 8 + 1; \
            buf = lua_newuserdata(L, len); \
        } \
        if (text_length < 0) \
            return fail(L, text_length); \
        lua_pushlstring(L, buf, (size_t)text_length); \
    } while (0)

#endif
