/*
 * Clients at an even rate, whatever becomes of the earlier ones: each connects, asks once and leaves. Half of them write to one
 * port, half read from another. Beside them some keep their session.
 *
 *     load RATE SECONDS RW_PORT RO_PORT USER PASSWORD TABLE KEPT PAUSE_MS PING
 *
 * RATE new connections a second for SECONDS, or until SIGTERM. KEPT sessions write every PAUSE_MS; with PING 1 they look first
 * whether the session is still there, as a pool of connections does that validates what it hands out. One line a request:
 *
 *     KIND SEQUENCE BEGUN SENT DONE ERRNO SERVER_ID TEXT
 *
 * KIND is w, r or k (kept); times are CLOCK_MONOTONIC nanoseconds, SENT 0 if no statement was; ERRNO 0 is success, SERVER_ID that
 * of the server that answered a read.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mysql.h>

enum { LIMIT_S = 15 };

static volatile sig_atomic_t over;
static unsigned rw_port, ro_port;
static const char *user, *password, *table;
static long pause_ms;
static int ping;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_done = PTHREAD_COND_INITIALIZER;
static long running, sequence;

struct request {
    char kind;
    long sequence;
    int64_t begun, sent;
    unsigned server;
};

static int64_t clock_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void sleep_until(int64_t when)
{
    struct timespec at = {(time_t)(when / 1000000000), (long)(when % 1000000000)};

    while (!over && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static void tell(const struct request *r, unsigned number, const char *text)
{
    flockfile(stdout);
    printf("%c %ld %lld %lld %lld %u %u %s\n", r->kind, r->sequence, (long long)r->begun, (long long)r->sent, (long long)clock_ns(),
           number, r->server, number != 0 ? text : "");
    funlockfile(stdout);
}

static MYSQL *join(MYSQL *mysql, unsigned port)
{
    unsigned limit = LIMIT_S;

    mysql_init(mysql);
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &limit);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &limit);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &limit);
    return mysql_real_connect(mysql, "127.0.0.1", user, password, NULL, port, NULL, 0);
}

static void ask(MYSQL *mysql, struct request *r)
{
    char statement[256];
    MYSQL_RES *result;
    MYSQL_ROW row;

    if (r->kind == 'r')
        snprintf(statement, sizeof statement, "SELECT @@server_id");
    else
        snprintf(statement, sizeof statement, "INSERT INTO %s (sequence, server) VALUES (%ld, @@server_id)", table, r->sequence);
    r->sent = clock_ns();
    if (mysql_query(mysql, statement) == 0 && r->kind == 'r' && (result = mysql_store_result(mysql)) != NULL) {
        if ((row = mysql_fetch_row(result)) != NULL)
            r->server = (unsigned)strtoul(row[0], NULL, 10);
        mysql_free_result(result);
    }
    tell(r, mysql_errno(mysql), mysql_error(mysql));
}

static void begin(struct request *r, char kind)
{
    memset(r, 0, sizeof *r);
    r->kind = kind;
    pthread_mutex_lock(&lock);
    r->sequence = ++sequence;
    pthread_mutex_unlock(&lock);
    r->begun = clock_ns();
}

static void *client(void *kind)
{
    struct request r;
    MYSQL mysql;

    mysql_thread_init();
    begin(&r, *(const char *)kind);
    if (join(&mysql, r.kind == 'r' ? ro_port : rw_port) == NULL)
        tell(&r, mysql_errno(&mysql), mysql_error(&mysql));
    else
        ask(&mysql, &r);
    mysql_close(&mysql);
    mysql_thread_end();
    pthread_mutex_lock(&lock);
    if (--running == 0)
        pthread_cond_signal(&all_done);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void *kept(void *unused)
{
    struct request r;
    MYSQL mysql;
    int joined = 0;

    (void)unused;
    mysql_thread_init();
    while (!over) {
        if (joined && ping && mysql_ping(&mysql) != 0) {
            mysql_close(&mysql);
            joined = 0;
        }
        begin(&r, 'k');
        if (!joined && join(&mysql, rw_port) == NULL)
            tell(&r, mysql_errno(&mysql), mysql_error(&mysql));
        else {
            joined = 1;
            ask(&mysql, &r);
        }
        if (mysql_errno(&mysql) != 0) {
            mysql_close(&mysql);
            joined = 0;
        }
        sleep_until(clock_ns() + pause_ms * 1000000);
    }
    if (joined)
        mysql_close(&mysql);
    mysql_thread_end();
    return NULL;
}

static void end(int number)
{
    (void)number;
    over = 1;
}

int main(int argc, char **argv)
{
    static const char kinds[2] = {'w', 'r'};
    pthread_t threads[64], one;
    pthread_attr_t detached;
    struct sigaction action;
    int64_t start, i, count, rate;
    int kept_count, k;

    if (argc != 11) {
        fprintf(stderr, "usage: load RATE SECONDS RW_PORT RO_PORT USER PASSWORD TABLE KEPT PAUSE_MS PING\n");
        return 2;
    }
    rate = atol(argv[1]);
    count = rate * atol(argv[2]);
    rw_port = (unsigned)atoi(argv[3]);
    ro_port = (unsigned)atoi(argv[4]);
    user = argv[5];
    password = argv[6];
    table = argv[7];
    kept_count = atoi(argv[8]);
    pause_ms = atol(argv[9]);
    ping = atoi(argv[10]);
    if (kept_count > 64)
        return 2;
    memset(&action, 0, sizeof action);
    action.sa_handler = end;
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    mysql_library_init(0, NULL, NULL);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 256 * 1024);
    for (k = 0; k < kept_count; k++)
        pthread_create(&threads[k], NULL, kept, NULL);
    start = clock_ns();
    for (i = 0; i < count && !over; i++) {
        sleep_until(start + i * 1000000000 / rate);
        pthread_mutex_lock(&lock);
        running++;
        pthread_mutex_unlock(&lock);
        if (pthread_create(&one, &detached, client, (void *)&kinds[i % 2]) != 0) {
            perror("load: thread");
            return 1;
        }
    }
    over = 1;
    for (k = 0; k < kept_count; k++)
        pthread_join(threads[k], NULL);
    pthread_mutex_lock(&lock);
    while (running > 0)
        pthread_cond_wait(&all_done, &lock);
    pthread_mutex_unlock(&lock);
    fprintf(stderr, "done\n");
    return 0;
}
