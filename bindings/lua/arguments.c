/* What comes from Lua: texts, words, times and tables of options, each checked before the library sees it. */
#include <stdarg.h>

#include "module.h"

/* nil, the library's text, its number. */
int fail(lua_State *L, int32_t code)
{
    char text[TEXT_ROOM];

    /* Lua may collect garbage below, and what it frees may fail and leave another text. */
    primacy_last_error(text, sizeof text);
    lua_pushnil(L);
    lua_pushstring(L, text[0] != '\0' ? text : primacy_error_name(code));
    lua_pushinteger(L, code);
    return 3;
}

/* nil, a text of the module's own, a number. */
int complain(lua_State *L, int32_t code, const char *format, ...)
{
    va_list arguments;

    lua_pushnil(L);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_pushinteger(L, code);
    return 3;
}

/* C sees a text up to its first NUL: what stands behind it must not vanish silently. */
static bool without_nul(lua_State *L, int index, const char *name, const char **text)
{
    size_t length;
    const char *given = lua_tolstring(L, index, &length);

    if (strlen(given) != length) {
        complain(L, PRIMACY_E_INVALID, "`%s` has a NUL at byte %d", name, (int)strlen(given) + 1);
        return false;
    }
    *text = given;
    return true;
}

bool text_argument(lua_State *L, int index, const char *name, const char **text)
{
    luaL_checktype(L, index, LUA_TSTRING);
    return without_nul(L, index, name, text);
}

/* nil or nothing leaves `text` as it is. */
bool optional_text(lua_State *L, int index, const char *name, const char **text)
{
    return lua_isnoneornil(L, index) || text_argument(L, index, name, text);
}

static bool known_word(lua_State *L, const char *name, const struct enumeration *list, const char *word, int32_t *number)
{
    luaL_Buffer known;

    if (find_word(list, word, number))
        return true;
    luaL_buffinit(L, &known);
    for (const struct word *one = list->words; one->name != NULL; one++) {
        if (one != list->words)
            luaL_addstring(&known, ", ");
        push_word(L, list, one->number);
        luaL_addvalue(&known);
    }
    luaL_pushresult(&known);
    complain(L, PRIMACY_E_INVALID, "`%s` is '%s'; it must be one of %s", name, word, lua_tostring(L, -1));
    return false;
}

bool word_argument(lua_State *L, int index, const char *name, const struct enumeration *list, int32_t *number)
{
    const char *word;

    return text_argument(L, index, name, &word) && known_word(L, name, list, word, number);
}

/* The range is told in seconds; a number that is none (NaN) is in no range. */
static bool in_range(lua_State *L, const char *name, double seconds, int64_t least, int64_t most, int64_t scale, int64_t *value)
{
    double scaled = seconds * (double)scale;

    if (!(scaled >= (double)least && scaled <= (double)most)) {
        complain(L, PRIMACY_E_INVALID, "`%s` is %f; it must be %f to %f seconds", name, (lua_Number)seconds,
                 (lua_Number)least / (lua_Number)scale, (lua_Number)most / (lua_Number)scale);
        return false;
    }
    *value = (int64_t)(scaled + 0.5);
    return true;
}

/* nil or nothing leaves `ms` as it is. */
bool seconds_argument(lua_State *L, int index, const char *name, int64_t least_ms, int64_t most_ms, int64_t *ms)
{
    if (lua_isnoneornil(L, index))
        return true;
    luaL_checktype(L, index, LUA_TNUMBER);
    return in_range(L, name, lua_tonumber(L, index), least_ms, most_ms, 1000, ms);
}

/* A table or nothing; a key that is not `known` is a mistake in writing, and told. */
bool options_argument(lua_State *L, int index, const char *const *known)
{
    if (lua_isnoneornil(L, index))
        return true;
    luaL_checktype(L, index, LUA_TTABLE);
    index = absolute(L, index);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        const char *const *one = known;

        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) {
            complain(L, PRIMACY_E_INVALID, "an option has a %s for its name", luaL_typename(L, -1));
            return false;
        }
        while (*one != NULL && strcmp(*one, lua_tostring(L, -1)) != 0)
            one++;
        if (*one == NULL) {
            complain(L, PRIMACY_E_INVALID, "there is no option '%s' here", lua_tostring(L, -1));
            return false;
        }
    }
    return true;
}

/* Pushes a field without metamethods; nothing and false if there is no table or no such field. */
static bool push_field(lua_State *L, int index, const char *name, int type)
{
    if (!lua_istable(L, index))
        return false;
    index = absolute(L, index);
    lua_pushstring(L, name);
    lua_rawget(L, index);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    if (lua_type(L, -1) != type)
        luaL_error(L, "`%s` must be a %s, not a %s", name, lua_typename(L, type), luaL_typename(L, -1));
    return true;
}

bool field_present(lua_State *L, int index, const char *name)
{
    bool there;

    if (!lua_istable(L, index))
        return false;
    index = absolute(L, index);
    lua_pushstring(L, name);
    lua_rawget(L, index);
    there = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return there;
}

/* The text belongs to the table: it stays while the table is an argument, for nothing runs that could change it. */
bool field_text(lua_State *L, int index, const char *name, const char **text)
{
    if (!push_field(L, index, name, LUA_TSTRING))
        return true;
    if (!without_nul(L, -1, name, text))
        return false;
    lua_pop(L, 1);
    return true;
}

bool field_u32(lua_State *L, int index, const char *name, uint32_t *value)
{
    double number;

    if (!push_field(L, index, name, LUA_TNUMBER))
        return true;
    number = lua_tonumber(L, -1);
    if (!(number >= 0 && number <= 4294967295.0) || number != (double)(uint32_t)number) {
        complain(L, PRIMACY_E_INVALID, "`%s` is %f; it must be a whole number from 0 to 4294967295", name, (lua_Number)number);
        return false;
    }
    *value = (uint32_t)number;
    lua_pop(L, 1);
    return true;
}

bool field_word(lua_State *L, int index, const char *name, const struct enumeration *list, int32_t *number)
{
    const char *word = NULL;

    return field_text(L, index, name, &word) && (word == NULL || known_word(L, name, list, word, number));
}

/* Seconds, given as so many of 1/`scale` second. */
bool field_seconds(lua_State *L, int index, const char *name, int64_t least, int64_t most, int64_t scale, int64_t *value)
{
    if (!push_field(L, index, name, LUA_TNUMBER))
        return true;
    if (!in_range(L, name, lua_tonumber(L, -1), least, most, scale, value))
        return false;
    lua_pop(L, 1);
    return true;
}

bool field_flag(lua_State *L, int index, const char *name, bool *value)
{
    if (!push_field(L, index, name, LUA_TBOOLEAN))
        return true;
    *value = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return true;
}

/* What may pass 2^53 crosses as text in every version of Lua. */
void push_u64(lua_State *L, uint64_t value)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    lua_pushstring(L, digits);
}
