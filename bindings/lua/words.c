/* The words of the contract: names of the enumerations in and out, the module's constants. */
#include <ctype.h>

#define PRIMACY_LUA_LISTS
#include "module.h"

static bool same_word(const char *a, const char *b)
{
    for (; *a != '\0' || *b != '\0'; a++, b++)
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
    return true;
}

/* Letter case does not matter. */
bool find_word(const struct enumeration *list, const char *name, int32_t *number)
{
    for (const struct word *word = list->words; word->name != NULL; word++)
        if (same_word(word->name, name)) {
            *number = word->number;
            return true;
        }
    return false;
}

/* As the library spells it; the number as text if neither knows it. */
void push_word(lua_State *L, const struct enumeration *list, int32_t number)
{
    const char *name = list->text != NULL ? list->text(number) : NULL;

    if (name != NULL && strcmp(name, "?") != 0) {
        lua_pushstring(L, name);
        return;
    }
    for (const struct word *word = list->words; word->name != NULL; word++)
        if (word->number == number) {
            lua_pushstring(L, word->name);
            return;
        }
    lua_pushfstring(L, "%d", (int)number);
}

/* Adds `E` (REFUSED = -8 and so on) and `enum` (cause = {refused = 1, ...} and so on) to the table on top. */
void push_constants(lua_State *L)
{
    lua_newtable(L);
    for (const struct word *word = error_words.words; word->name != NULL; word++) {
        lua_pushinteger(L, word->number);
        lua_setfield(L, -2, strncmp(word->name, "E_", 2) == 0 ? word->name + 2 : word->name);
    }
    lua_pushinteger(L, WOULD_BLOCK);
    lua_setfield(L, -2, "WOULD_BLOCK");
    lua_setfield(L, -2, "E");

    lua_newtable(L);
    for (const struct enumeration *const *list = all_words; *list != NULL; list++) {
        if (*list == &error_words)
            continue;
        lua_newtable(L);
        for (const struct word *word = (*list)->words; word->name != NULL; word++) {
            push_word(L, *list, word->number);
            lua_pushinteger(L, word->number);
            lua_rawset(L, -3);
        }
        lua_setfield(L, -2, (*list)->name);
    }
    lua_setfield(L, -2, "enum");
}
