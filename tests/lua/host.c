/*
 * A host of Lua states, as proxies are.
 *
 *     host run SCRIPT [ARGUMENT...]               one state; the script has fork(), wait(pid), quit(code)
 *     host threads COUNT SCRIPT [ARGUMENT...]     as many threads, each with a state; the script has barrier(), thread, threads
 *     host memory SCRIPT [ARGUMENT...]            the function that the script gives is called in new states, each time with one
 *                                                 allocation more until memory runs out, and at last without an end
 *
 * Exits with 0 if no script failed.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static int argument_count;
static char **arguments;

/* Barriers of POSIX are unknown to some checkers. */
static pthread_mutex_t meeting = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t met = PTHREAD_COND_INITIALIZER;
static int threads, waiting, meetings, gone;

static int barrier(lua_State *L)
{
    int mine;

    (void)L;
    pthread_mutex_lock(&meeting);
    mine = meetings;
    if (++waiting + gone >= threads) {
        waiting = 0;
        meetings++;
        pthread_cond_broadcast(&met);
    }
    while (mine == meetings)
        pthread_cond_wait(&met, &meeting);
    pthread_mutex_unlock(&meeting);
    return 0;
}

/* A thread that failed is waited for no more. */
static void leave(void)
{
    pthread_mutex_lock(&meeting);
    gone++;
    if (waiting > 0 && waiting + gone >= threads) {
        waiting = 0;
        meetings++;
        pthread_cond_broadcast(&met);
    }
    pthread_mutex_unlock(&meeting);
}

static int do_fork(lua_State *L)
{
    fflush(NULL);
    lua_pushinteger(L, (lua_Integer)fork());
    return 1;
}

/* The exit code; -1 for a signal. */
static int do_wait(lua_State *L)
{
    int status = 0;

    if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0)
        return luaL_error(L, "waitpid failed");
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return 1;
}

static int quit(lua_State *L)
{
    int code = (int)luaL_checkinteger(L, 1);

    fflush(NULL);
    _exit(code);
}

static lua_State *prepare(lua_State *L, const char *script)
{
    if (L == NULL)
        return NULL;
    luaL_openlibs(L);
    lua_register(L, "barrier", barrier);
    lua_register(L, "fork", do_fork);
    lua_register(L, "wait", do_wait);
    lua_register(L, "quit", quit);
    lua_pushinteger(L, threads);
    lua_setglobal(L, "threads");
    lua_newtable(L);
    for (int at = 0; at < argument_count; at++) {
        lua_pushstring(L, arguments[at]);
        lua_rawseti(L, -2, at + 1);
    }
    lua_setglobal(L, "arg");
    if (luaL_loadfile(L, script) != 0) {
        printf("# %s\n", lua_tostring(L, -1));
        lua_close(L);
        return NULL;
    }
    return L;
}

/* Calls what is on top of the stack for `results` results. */
static int call(lua_State *L, int results)
{
    int code = lua_pcall(L, 0, results, 0);

    if (code != 0)
        printf("# %s\n", lua_tostring(L, -1) != NULL ? lua_tostring(L, -1) : "an error without words");
    return code;
}

static int run(const char *script)
{
    lua_State *L = prepare(luaL_newstate(), script);
    int code = L == NULL ? 1 : call(L, 0);

    if (L != NULL)
        lua_close(L);
    return code;
}

struct thread {
    pthread_t id;
    const char *script;
    int number, code;
};

static void *thread_main(void *given)
{
    struct thread *own = given;
    lua_State *L = prepare(luaL_newstate(), own->script);

    own->code = 1;
    if (L != NULL) {
        lua_pushinteger(L, own->number);
        lua_setglobal(L, "thread");
        own->code = call(L, 0);
        lua_close(L);
    }
    leave();
    return NULL;
}

static int run_threads(const char *script)
{
    struct thread *all = calloc((size_t)threads, sizeof *all);
    int failed = 0;

    for (int at = 0; at < threads; at++) {
        all[at].script = script;
        all[at].number = at + 1;
        if (pthread_create(&all[at].id, NULL, thread_main, all + at) != 0)
            abort();
    }
    for (int at = 0; at < threads; at++) {
        pthread_join(all[at].id, NULL);
        failed |= all[at].code;
    }
    free(all);
    return failed;
}

/* Allocations that are left; below 0 without an end. */
static long left = -1;

static void *allocate(void *unused, void *old, size_t old_size, size_t size)
{
    (void)unused;
    if (size == 0) {
        free(old);
        return NULL;
    }
    /* Lua takes it for granted that a block can shrink. */
    if (left == 0 && (old == NULL || size > old_size))
        return NULL;
    if (left > 0 && (old == NULL || size > old_size))
        left--;
    return realloc(old, size);
}

static int run_memory(const char *script)
{
    for (long limit = 0; limit < 100000; limit++) {
        lua_State *L = prepare(lua_newstate(allocate, NULL), script);
        int code;

        if (L == NULL || call(L, 1) != 0)
            return 1;
        left = limit;
        code = lua_pcall(L, 0, 0, 0);
        left = -1;
        if (code == 0) {
            lua_close(L);
            printf("# %ld allocations, each of them refused once\n", limit);
            return limit < 50;
        }
        if (code != LUA_ERRMEM && strstr(lua_tostring(L, -1), "not enough memory") == NULL) {
            printf("# with %ld allocations: %s\n", limit, lua_tostring(L, -1));
            lua_close(L);
            return 1;
        }
        lua_close(L);
    }
    return 1;
}

int main(int count, char **given)
{
    int with_threads = count > 3 && strcmp(given[1], "threads") == 0;
    const char *mode = count > 2 ? given[1] : "", *script = given[with_threads ? 3 : 2];

    arguments = given + (with_threads ? 4 : 3);
    argument_count = count - (with_threads ? 4 : 3);
    threads = with_threads ? atoi(given[2]) : 0;
    if (with_threads)
        return run_threads(script) != 0;
    if (strcmp(mode, "run") == 0)
        return run(script) != 0;
    if (strcmp(mode, "memory") == 0)
        return run_memory(script) != 0;
    fprintf(stderr, "usage: host run|memory SCRIPT | host threads COUNT SCRIPT\n");
    return 2;
}
