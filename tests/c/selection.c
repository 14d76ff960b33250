/* Backend selection through the contract: where clients go, what becomes of their sessions, and the end of a service. */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selecting.h"

/* A socket that listens at an address of loopback or a path; the address is filled in. */
static int listener(struct sockaddr *at, socklen_t *length)
{
    int fd = socket(at->sa_family, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, at, *length) < 0 || listen(fd, 8) < 0 || getsockname(fd, at, length) < 0) {
        perror("# listener");
        exit(99);
    }
    return fd;
}

/* What a host does with a backend. */
static void check_connects(const struct primacy_backend *backend, int listening)
{
    const struct sockaddr *to = (const struct sockaddr *)&backend->address;
    struct pollfd watched;
    int fd = socket(to->sa_family, SOCK_STREAM, 0), peer;

    CHECK(connect(fd, to, backend->addrlen) == 0);
    watched.fd = listening;
    watched.events = POLLIN;
    CHECK(poll(&watched, 1, 5000) == 1);
    peer = accept(listening, NULL, NULL);
    CHECK(peer >= 0);
    close(peer);
    close(fd);
}

static void a_backend_is_what_connect_takes(void)
{
    char folder[] = "/tmp/primacy-selection-XXXXXX", text[1024], spec[3][128], name[128];
    const char *nodes[4] = {spec[0], spec[1], spec[2], NULL};
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct primacy_backend backend;
    primacy_instance *p;
    primacy_selector *any;
    socklen_t length;
    int fds[3], i, seen = 0;

    memset(&in4, 0, sizeof in4);
    in4.sin_family = AF_INET;
    in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    length = sizeof in4;
    fds[0] = listener((struct sockaddr *)&in4, &length);
    memset(&in6, 0, sizeof in6);
    in6.sin6_family = AF_INET6;
    in6.sin6_addr = in6addr_loopback;
    length = sizeof in6;
    fds[1] = listener((struct sockaddr *)&in6, &length);
    CHECK(mkdtemp(folder) != NULL);
    memset(&un, 0, sizeof un);
    un.sun_family = AF_UNIX;
    snprintf(un.sun_path, sizeof un.sun_path, "%s/mysqld.sock", folder);
    length = sizeof un;
    fds[2] = listener((struct sockaddr *)&un, &length);

    snprintf(spec[0], sizeof spec[0], "127.0.0.1:%d", ntohs(in4.sin_port));
    snprintf(spec[1], sizeof spec[1], "[::1]:%d", ntohs(in6.sin6_port));
    snprintf(spec[2], sizeof spec[2], "unix:%s/mysqld.sock", folder);
    snprintf(text, sizeof text,
             "[pool.orders]\npolicy = \"mpp\"\nprobe = \"external\"\nnodes = [ { address = \"%s\", type = \"primary\" }, "
             "{ address = \"%s\", type = \"secondary\" }, { address = \"%s\", type = \"secondary\" } ]\n"
             "[pool.orders.service.any]\nrole = \"any\"\n",
             spec[0], spec[1], spec[2]);
    p = instance_of(text);
    for (i = 0; i < 3; i++)
        cycle_of(p, nodes, PRIMACY_CAUSE_OK, PRIMACY_CAUSE_OK);
    any = selector_of(p, "any");
    for (i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "%s", chosen(any, &backend));
        CHECK(backend.slot < 3 && strcmp(name, nodes[backend.slot]) == 0);
        if (backend.slot >= 3)
            continue;
        seen |= 1 << backend.slot;
        check_connects(&backend, fds[backend.slot]);
        CHECK(backend.reason == PRIMACY_REASON_ROLE && backend.flags == 0 && backend.reserved == 0);
        CHECK(backend.size == sizeof backend && backend.epoch != 0 && backend.generation == 1);
    }
    CHECK(seen == 7);
    CHECK_CALL(0, primacy_selector_free(any));
    CHECK_CALL(0, primacy_instance_free(p));
    for (i = 0; i < 3; i++)
        close(fds[i]);
    unlink(un.sun_path);
    CHECK(rmdir(folder) == 0);
}

static void services_are_found_by_name(void)
{
    primacy_instance *p = settled(THREE("[pool.users]\nprobe = \"external\"\nnodes = [ { address = \"10.0.2.1\", type = "
                                        "\"primary\" } ]\n[pool.users.service.rw]\nrole = \"active\"\n"
                                        "[pool.users.service.only]\nrole = \"active\"\n"));
    primacy_selector *selector = NULL;
    struct primacy_backend backend;
    char text[512];

    selector = selector_of(p, "orders.rw");
    CHECK(strcmp(chosen(selector, &backend), A) == 0);
    CHECK_CALL(0, primacy_selector_free(selector));
    selector = selector_of(p, "ro");
    CHECK(strcmp(chosen(selector, &backend), A) != 0);
    CHECK_CALL(0, primacy_selector_free(selector));
    selector = NULL;
    /* Two pools have it: the text names both. */
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_selector_new(p, "rw", NULL, &selector));
    CHECK(check_error_says("orders.rw") && check_error_says("users.rw"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_selector_new(p, "writers", NULL, &selector));
    CHECK(check_error_says("'writers'") && check_error_says("orders.ro") && check_error_says("users.only"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_selector_new(p, "", NULL, &selector));
    CHECK(selector == NULL);
    /* Nobody has looked at that pool: an answer, and one that names the node. */
    selector = selector_of(p, "only");
    backend.size = sizeof backend;
    CHECK_CALL(PRIMACY_E_NO_BACKEND, primacy_select(selector, NULL, &backend));
    CHECK(check_error_says("10.0.2.1") || check_error_says("users"));
    CHECK(primacy_select_reason(selector, text, sizeof text) > 0);
    CHECK(strstr(text, "10.0.2.1") != NULL && strstr(text, "rule 6") != NULL);
    CHECK_CALL(0, primacy_selector_free(selector));
    CHECK_CALL(0, primacy_instance_free(p));
}

static int32_t current(const primacy_selector *selector, const struct primacy_backend *backend)
{
    return primacy_backend_current(selector, backend);
}

static void a_failed_node_ends_its_sessions(void)
{
    primacy_instance *p = settled(THREE(""));
    primacy_selector *rw = selector_of(p, "rw"), *ro = selector_of(p, "ro");
    struct primacy_backend writer, reader, next;
    int i;

    CHECK(strcmp(chosen(rw, &writer), A) == 0);
    CHECK(strcmp(chosen(ro, &reader), A) != 0);
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(rw, &writer));
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(ro, &reader));
    for (i = 0; i < 4; i++)
        cycle_of(p, three, PRIMACY_CAUSE_REFUSED, PRIMACY_CAUSE_OK);
    CHECK_CALL(PRIMACY_SESSION_ENDS, current(rw, &writer));
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(ro, &reader));
    CHECK(strcmp(chosen(rw, &next), B) == 0);
    CHECK(next.epoch > writer.epoch);
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(rw, &next));
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_selector_free(ro));
    CHECK_CALL(0, primacy_instance_free(p));
}

/* An operator gives the role to B. */
static void move_the_role(primacy_instance *p)
{
    struct primacy_override_options options;

    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.set = PRIMACY_OVERRIDE_STATE;
    options.state = PRIMACY_STATE_ACTIVE;
    options.reason = "planned";
    CHECK(primacy_override(p, "orders", B, &options, 0, NULL, 0) > 0);
}

/* Drained until the deadline, by a thread of the library's own: nobody calls anything. */
static void a_planned_move_drains(void)
{
    primacy_instance *p =
        settled(THREE("[pool.orders.service.rw]\nrole = \"active\"\ndrain_deadline = \"400ms\"\n"));
    primacy_selector *rw = selector_of(p, "rw");
    struct primacy_backend writer, next;
    int64_t began;

    CHECK_CALL(0, primacy_start(p));
    CHECK(strcmp(chosen(rw, &writer), A) == 0);
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(rw, &writer));
    began = now_ms();
    move_the_role(p);
    CHECK_CALL(PRIMACY_SESSION_DRAINS, current(rw, &writer));
    CHECK(strcmp(chosen(rw, &next), B) == 0);
    while (current(rw, &writer) == PRIMACY_SESSION_DRAINS && now_ms() - began < 20000)
        poll(NULL, 0, 5);
    CHECK_CALL(PRIMACY_SESSION_ENDS, current(rw, &writer));
    CHECK(now_ms() - began >= 400);
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(rw, &next));
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void kill_ends_at_once(void)
{
    primacy_instance *p = settled(THREE("[pool.orders.service.rw]\nrole = \"active\"\non_demotion = \"kill\"\n"));
    primacy_selector *rw = selector_of(p, "rw");
    struct primacy_backend writer, next;

    CHECK(strcmp(chosen(rw, &writer), A) == 0);
    move_the_role(p);
    CHECK_CALL(PRIMACY_SESSION_ENDS, current(rw, &writer));
    CHECK(strcmp(chosen(rw, &next), B) == 0);
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void released_clients_count_no_more(void)
{
    primacy_instance *p = settled(
        THREE("[pool.orders.service.ro]\nrole = \"standby\"\nstrategy = \"least-connections\"\n"));
    primacy_selector *ro = selector_of(p, "ro"), *other = selector_of(p, "ro");
    struct primacy_backend got[8];
    int i, count[3] = {0, 0, 0};

    for (i = 0; i < 8; i++) {
        chosen(i % 2 == 0 ? ro : other, &got[i]); /* all selectors of a service count together */
        CHECK(got[i].slot == 1 || got[i].slot == 2);
        count[got[i].slot % 3]++;
    }
    CHECK(count[1] == 4 && count[2] == 4);
    for (i = 0; i < 8; i++) {
        if (got[i].slot == 1)
            CHECK_CALL(0, primacy_release(other, &got[i]));
    }
    /* More ends than beginnings count for nothing. */
    for (i = 0; i < 8; i++) {
        if (got[i].slot == 1)
            CHECK_CALL(0, primacy_release(ro, &got[i]));
    }
    for (i = 0; i < 4; i++) {
        struct primacy_backend next;
        chosen(ro, &next);
        CHECK(next.slot == 1);
    }
    CHECK_CALL(0, primacy_selector_free(ro));
    CHECK_CALL(0, primacy_selector_free(other));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void reports_hold_a_node_back_and_one_client_tries(void)
{
    primacy_instance *p = settled(
        THREE("[pool.orders.service.ro]\nrole = \"standby\"\nquarantine = \"300ms\"\nquarantine_after = 2\n"));
    primacy_selector *ro = selector_of(p, "ro");
    struct primacy_backend to_b, backend;
    int64_t began;
    int i, trials = 0;
    char text[1024];

    memset(&backend, 0, sizeof backend);
    for (i = 0; i < 2; i++) {
        chosen(ro, &backend);
        if (backend.slot == 1)
            to_b = backend;
    }
    CHECK_CALL(0, primacy_report(ro, &to_b, PRIMACY_REPORT_CONNECT_FAILED));
    CHECK_CALL(0, primacy_report(ro, &to_b, PRIMACY_REPORT_SESSION_FAILED));
    CHECK_CALL(0, primacy_report(ro, &to_b, PRIMACY_REPORT_CONNECT_TIMED_OUT));
    began = now_ms();
    for (i = 0; i < 4; i++) {
        chosen(ro, &backend);
        CHECK(backend.slot == 2 || now_ms() - began >= 300);
    }
    CHECK(primacy_select_reason(ro, text, sizeof text) > 0);
    CHECK(strstr(text, "rule 615") != NULL);
    /* Sessions that are there stay: the prober reaches the node. */
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(ro, &to_b));
    CHECK_CALL(0, primacy_start(p));
    while (trials == 0 && now_ms() - began < 20000) {
        chosen(ro, &backend);
        if (backend.slot == 1) {
            trials++;
            CHECK(backend.reason == PRIMACY_REASON_TRIAL && (backend.flags & PRIMACY_BACKEND_TRIAL) != 0);
            CHECK(now_ms() - began >= 300);
            to_b = backend;
        }
        poll(NULL, 0, 2);
    }
    CHECK(trials == 1);
    /* Nobody else tries at the same time. */
    for (i = 0; i < 6; i++) {
        chosen(ro, &backend);
        CHECK(backend.slot == 2);
    }
    CHECK_CALL(0, primacy_report(ro, &to_b, PRIMACY_REPORT_CONNECTED));
    for (i = 0; i < 2; i++) {
        chosen(ro, &backend);
        trials += backend.slot == 1 && backend.flags == 0;
    }
    CHECK(trials == 2);
    CHECK_CALL(0, primacy_selector_free(ro));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void transactions_are_asked_for(void)
{
    static const char *const wrong[] = {
        "garbage", "-", "0-1", "0-1-", "0-1-18446744073709551616", "99999999999-1-1", "0-1-1,,x",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:0", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9223372036854775808",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:18446744073709551616", "3e11fa47-71ca-11e1-9e33-c80aa942956:1",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5x", "\xff\xfe", "0-1-4294967296-9999999999999999999999999"};
    primacy_instance *p = settled(THREE(""));
    primacy_selector *ro = selector_of(p, "ro");
    struct primacy_observation seen;
    struct primacy_backend backend;
    struct primacy_select_options wish = wish_of();
    char *huge;
    size_t i;

    memset(&seen, 0, sizeof seen);
    seen.size = sizeof seen;
    seen.cause = PRIMACY_CAUSE_OK;
    seen.facts = PRIMACY_FACT_FLAVOUR | PRIMACY_FACT_GTIDS;
    seen.flavour = PRIMACY_FLAVOUR_MARIADB;
    seen.gtids = "0-1-42";
    CHECK_CALL(0, primacy_observe(p, "orders", B, &seen));
    seen.gtids = "0-1-41";
    CHECK_CALL(0, primacy_observe(p, "orders", C, &seen));
    seen.gtids = "0-1-50";
    CHECK_CALL(0, primacy_observe(p, "orders", A, &seen));
    CHECK_CALL(0, primacy_cycle(p, "orders", NULL));

    backend.size = sizeof backend;
    wish.min_gtid = "0-1-42";
    for (i = 0; i < 4; i++) {
        CHECK_CALL(0, primacy_select(ro, &wish, &backend));
        CHECK(backend.slot == 1 && backend.reason == PRIMACY_REASON_GTID);
    }
    wish.min_gtid = "0-1-41";
    CHECK_CALL(0, primacy_select(ro, &wish, &backend));
    CHECK(backend.slot == 1 || backend.slot == 2);
    /* No stand-in has it, but the ACTIVE node. */
    wish.min_gtid = "0-1-43";
    CHECK_CALL(0, primacy_select(ro, &wish, &backend));
    CHECK(backend.slot == 0 && backend.reason == PRIMACY_REASON_GTID_ACTIVE);
    wish.min_gtid = "0-1-51";
    CHECK_CALL(PRIMACY_E_GTID_UNKNOWN, primacy_select(ro, &wish, &backend));
    /* A set of the other kind of server. */
    wish.min_gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9223372036854775806";
    CHECK_CALL(PRIMACY_E_GTID_UNKNOWN, primacy_select(ro, &wish, &backend));
    wish.flags = PRIMACY_SELECT_STALE_OK;
    CHECK_CALL(0, primacy_select(ro, &wish, &backend));
    CHECK(backend.slot == 1 || backend.slot == 2);
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wish.min_gtid = wrong[i];
        if (primacy_select(ro, &wish, &backend) != PRIMACY_E_INVALID) {
            printf("# '%s' was taken\n", wrong[i]);
            check_failed = 1;
        }
    }
    /* A megabyte of digits, and one of intervals. */
    huge = malloc(1 << 20);
    memset(huge, '9', 1 << 20);
    huge[(1 << 20) - 1] = '\0';
    wish.min_gtid = huge;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_select(ro, &wish, &backend));
    CHECK(primacy_last_error(NULL, 0) < 2000);
    for (i = 0; i + 14 < 1 << 20; i += 7)
        memcpy(huge + i, "0-1-42,", 7);
    memcpy(huge + i, "0-1-1", 6);
    CHECK_CALL(0, primacy_select(ro, &wish, &backend));
    free(huge);
    CHECK_CALL(0, primacy_selector_free(ro));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void what_was_tried_is_avoided(void)
{
    primacy_instance *p = settled(THREE("[pool.orders.service.any]\nrole = \"any\"\n"));
    primacy_selector *any = selector_of(p, "any");
    struct primacy_backend backend;
    struct primacy_select_options wish = wish_of();
    uint32_t avoid[8] = {0xffffffffu, 65536, 7, 7, 0, 0, 0, 0};
    static uint32_t many[65537];
    uint32_t i;

    backend.size = sizeof backend;
    wish.avoid = avoid;
    /* Slots that nobody has do no harm. */
    for (wish.avoid_count = 4; wish.avoid_count < 7; wish.avoid_count++) {
        CHECK_CALL(0, primacy_select(any, &wish, &backend));
        for (i = 4; i < wish.avoid_count; i++)
            CHECK(backend.slot != avoid[i]);
        avoid[wish.avoid_count] = backend.slot;
    }
    CHECK_CALL(PRIMACY_E_NO_BACKEND, primacy_select(any, &wish, &backend));
    CHECK(check_error_says("avoid"));
    wish.avoid = NULL;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_select(any, &wish, &backend));
    CHECK(check_error_says("options.avoid"));
    wish.avoid_count = 0;
    CHECK_CALL(0, primacy_select(any, &wish, &backend));
    wish.avoid = (const uint32_t *)(const void *)((const char *)avoid + 1);
    wish.avoid_count = 1;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_select(any, &wish, &backend));
    for (i = 0; i < 65537; i++)
        many[i] = 100 + i;
    wish.avoid = many;
    wish.avoid_count = 65536;
    CHECK_CALL(0, primacy_select(any, &wish, &backend));
    wish.avoid_count = 65537;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_select(any, &wish, &backend));
    wish.avoid_count = 0xffffffffu;
    CHECK_CALL(PRIMACY_E_INVALID, primacy_select(any, &wish, &backend));
    CHECK_CALL(0, primacy_selector_free(any));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void null_and_wrong_handles_are_answered(void)
{
    primacy_instance *p = settled(THREE(""));
    primacy_selector *rw = selector_of(p, "rw"), *none = NULL;
    primacy_snapshot *snapshot = NULL;
    struct primacy_backend backend;
    uint64_t garbage[16] = {1, 2, 3, 4, 5, 6, 7, 8};
    char text[8];

    chosen(rw, &backend);
    CHECK_CALL(0, primacy_selector_free(NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_selector_new(NULL, "rw", NULL, &none));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_selector_new(p, NULL, NULL, &none));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_selector_new(p, "rw", NULL, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_selector_new(p, "\xff", NULL, &none));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_select(NULL, NULL, &backend));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_select(rw, NULL, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_select(rw, NULL, (struct primacy_backend *)(void *)((char *)garbage + 1)));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_release(NULL, &backend));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_release(rw, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_report(NULL, &backend, 0));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report(rw, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_backend_current(NULL, &backend));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_backend_current(rw, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_node_name(NULL, 0, text, sizeof text));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_node_name(rw, 0, NULL, 4));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_select_reason(NULL, text, sizeof text));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_select_reason(rw, NULL, 4));
    /* Texts are cut, and their length is told. */
    CHECK_CALL((int32_t)strlen(A), primacy_node_name(rw, 0, text, sizeof text));
    CHECK(strcmp(text, "10.0.1.") == 0);
    CHECK(primacy_select_reason(rw, NULL, 0) > 100);
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_node_name(rw, 3, text, sizeof text));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_node_name(rw, 0xffffffffu, text, sizeof text));

    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_select((primacy_selector *)(void *)snapshot, NULL, &backend));
    CHECK(check_error_says("this is a primacy_snapshot"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_selector_free((primacy_selector *)(void *)p));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_stop((primacy_instance *)(void *)rw));
    CHECK(check_error_says("this is a primacy_selector"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_select((primacy_selector *)(void *)garbage, NULL, &backend));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_backend_current((primacy_selector *)(void *)((char *)garbage + 1), &backend));
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_instance_free(p));
}

/* A backend that no selection filled, or one of another service. */
static void backends_from_nowhere_are_answered(void)
{
    primacy_instance *p =
        settled(THREE("[pool.users]\nprobe = \"external\"\nnodes = [ { address = \"10.0.2.1\", type = \"primary\" } ]\n"));
    primacy_selector *ro = selector_of(p, "orders.ro"), *users = selector_of(p, "users.rw");
    struct primacy_backend good, bad;
    size_t i;

    do
        chosen(ro, &good);
    while (good.slot != 2);
    memset(&bad, 0, sizeof bad);
    CHECK_CALL(PRIMACY_E_INVALID, primacy_backend_current(ro, &bad));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_release(ro, &bad));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report(ro, &bad, 0));
    CHECK(check_error_says("not filled by primacy_select"));
    memset(&bad, 0xff, sizeof bad);
    CHECK_CALL(PRIMACY_E_INVALID, primacy_backend_current(ro, &bad));
    /* Any changed bit of slot, generation and token shows. */
    for (i = 0; i < 8; i++) {
        bad = good;
        bad.slot ^= 1u << (i * 4);
        CHECK_CALL(PRIMACY_E_INVALID, primacy_backend_current(ro, &bad));
        bad = good;
        bad.generation ^= (uint64_t)1 << (i * 9);
        CHECK_CALL(PRIMACY_E_INVALID, primacy_release(ro, &bad));
        bad = good;
        bad.token ^= (uint64_t)1 << (i * 9);
        CHECK_CALL(PRIMACY_E_INVALID, primacy_report(ro, &bad, 0));
    }
    CHECK_CALL(PRIMACY_E_INVALID,
               primacy_release(ro, (const struct primacy_backend *)(const void *)((const char *)&good + 1)));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report(ro, &good, 4));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report(ro, &good, -1));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_report(ro, &good, INT32_MIN));
    CHECK(check_error_says("primacy_report_outcome"));
    /* The other service has no such slot: whoever asks there must end. */
    CHECK_CALL(PRIMACY_SESSION_ENDS, primacy_backend_current(users, &good));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_report(users, &good, PRIMACY_REPORT_CONNECT_FAILED));
    CHECK_CALL(0, primacy_release(users, &good));
    CHECK_CALL(0, primacy_selector_free(ro));
    CHECK_CALL(0, primacy_selector_free(users));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void sizes_and_flags_are_checked(void)
{
    primacy_instance *p = settled(THREE(""));
    primacy_selector *rw = selector_of(p, "rw"), *other = NULL;
    struct primacy_backend full;
    struct {
        struct primacy_select_options options;
        unsigned char tail[16];
    } room;
    struct {
        struct primacy_selector_options options;
        unsigned char tail[16];
    } hall;
    union {
        struct primacy_backend backend;
        unsigned char bytes[sizeof(struct primacy_backend) + 64];
    } out;
    uint32_t size;
    size_t i;
    int32_t got;

    chosen(rw, &full);
    for (size = 0; size <= sizeof room.options; size++) {
        memset(&room, 0, sizeof room);
        room.options.size = size;
        out.backend.size = sizeof out.backend;
        got = primacy_select(rw, &room.options, &out.backend);
        CHECK(got == 0 || got == PRIMACY_E_SIZE);
        CHECK(got == PRIMACY_E_SIZE || size >= 4);
    }
    memset(&room, 0, sizeof room);
    room.options.size = sizeof room;
    CHECK_CALL(0, primacy_select(rw, &room.options, &out.backend));
    room.tail[15] = 1;
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_select(rw, &room.options, &out.backend));
    room.tail[15] = 0;
    room.options.size = 65537;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_select(rw, &room.options, &out.backend));
    room.options.size = 0x80000000u;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_select(rw, &room.options, &out.backend));
    room.options = wish_of();
    for (i = 1; i < 32; i++) {
        room.options.flags = (uint32_t)1 << i;
        CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_select(rw, &room.options, &out.backend));
    }
    room.options = wish_of();
    room.options.reserved = 1;
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_select(rw, &room.options, &out.backend));

    for (size = 0; size <= sizeof hall.options; size++) {
        memset(&hall, 0, sizeof hall);
        hall.options.size = size;
        got = primacy_selector_new(p, "rw", &hall.options, &other);
        CHECK(got == 0 || got == PRIMACY_E_SIZE);
        if (got == 0)
            CHECK_CALL(0, primacy_selector_free(other));
    }
    CHECK(got == 0);
    memset(&hall, 0, sizeof hall);
    hall.options.size = sizeof hall;
    hall.tail[0] = 1;
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_selector_new(p, "rw", &hall.options, &other));
    hall.tail[0] = 0;
    hall.options.reserved = 1;
    CHECK_CALL(PRIMACY_E_UNSUPPORTED, primacy_selector_new(p, "rw", &hall.options, &other));
    hall.options.reserved = 0;
    hall.options.site = "\xff";
    CHECK_CALL(PRIMACY_E_INVALID, primacy_selector_new(p, "rw", &hall.options, &other));
    CHECK(check_error_says("options.site"));

    /* What is filled: whole fields, nothing behind the caller's size, nothing at all on errors. */
    for (size = 0; size <= sizeof out.backend + 64; size++) {
        if (size > sizeof out.backend && size % 8 != 0)
            continue;
        memset(&out, 0xa5, sizeof out);
        out.backend.size = size;
        got = primacy_select(rw, NULL, &out.backend);
        CHECK(got == 0 || got == PRIMACY_E_SIZE);
        CHECK(out.backend.size == size || (got == 0 && size == sizeof out.backend));
        for (i = got == 0 ? size : 4; i < sizeof out; i++) {
            if (out.bytes[i] != 0xa5)
                break;
        }
        CHECK(i >= sizeof out);
        if (got == 0 && size >= sizeof out.backend)
            CHECK(out.backend.slot == full.slot && out.backend.token == full.token &&
                  memcmp(&out.backend.address, &full.address, full.addrlen) == 0);
    }
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void a_stopped_instance_answers(void)
{
    primacy_instance *p = settled(THREE(""));
    primacy_selector *rw = selector_of(p, "rw"), *other = NULL;
    struct primacy_backend writer, backend;
    struct primacy_select_options wish = wish_of();
    char text[64];
    int freed;

    chosen(rw, &writer);
    CHECK_CALL(0, primacy_stop(p));
    backend.size = sizeof backend;
    for (freed = 0; freed < 2; freed++) {
        CHECK_CALL(PRIMACY_E_STOPPED, primacy_select(rw, NULL, &backend));
        CHECK_CALL(PRIMACY_E_STOPPED, primacy_select(rw, &wish, &backend));
        CHECK_CALL(PRIMACY_E_STOPPED, primacy_backend_current(rw, &writer));
        CHECK_CALL(PRIMACY_E_STOPPED, primacy_report(rw, &writer, PRIMACY_REPORT_CONNECT_FAILED));
        CHECK_CALL(0, primacy_release(rw, &writer));
        CHECK_CALL((int32_t)strlen(A), primacy_node_name(rw, 0, text, sizeof text));
        CHECK(primacy_select_reason(rw, text, sizeof text) > 0);
        if (freed == 0) {
            CHECK_CALL(PRIMACY_E_STOPPED, primacy_selector_new(p, "rw", NULL, &other));
            /* The selector outlives the instance. */
            CHECK_CALL(0, primacy_instance_free(p));
        }
    }
    CHECK_CALL(0, primacy_selector_free(rw));
}

static void a_service_leaves_and_another_one_of_its_name_comes(void)
{
    primacy_instance *p = settled(THREE("[pool.orders.service.rw]\nrole = \"active\"\n[pool.orders.service.ro]\nrole = \"standby\"\n"));
    primacy_config *without = config_of(THREE("[pool.orders.service.rw]\nrole = \"active\"\n"));
    primacy_config *with = config_of(THREE("[pool.orders.service.rw]\nrole = \"active\"\n[pool.orders.service.ro]\nrole = \"standby\"\n"));
    primacy_selector *ro = selector_of(p, "ro"), *rw = selector_of(p, "rw"), *next;
    struct primacy_backend reader, writer, backend;
    struct primacy_select_options wish = wish_of();

    chosen(ro, &reader);
    chosen(rw, &writer);
    CHECK_CALL(0, primacy_reload(p, without));
    backend.size = sizeof backend;
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_select(ro, NULL, &backend));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_select(ro, &wish, &backend));
    CHECK_CALL(PRIMACY_SESSION_ENDS, current(ro, &reader));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_selector_new(p, "ro", NULL, &next));
    CHECK(check_error_says("orders.rw"));
    /* Who stayed notices nothing. */
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(rw, &writer));
    chosen(rw, &backend);
    CHECK(backend.generation == writer.generation);
    /* The service comes back: sessions of its first life have ended, whoever has not asked in between. */
    CHECK_CALL(0, primacy_reload(p, with));
    next = selector_of(p, "ro");
    CHECK(strcmp(chosen(next, &backend), A) != 0);
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(next, &backend));
    CHECK_CALL(PRIMACY_SESSION_ENDS, current(ro, &reader));
    CHECK_CALL(0, primacy_config_free(without));
    CHECK_CALL(0, primacy_config_free(with));
    CHECK_CALL(0, primacy_selector_free(ro));
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_selector_free(next));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void a_table_that_nobody_renews_is_told(void)
{
    primacy_instance *p = settled(THREE("[pool.orders.service.rw]\nrole = \"active\"\nstale_after = \"1s\"\nstale = \"refuse\"\n"
                                        "[pool.orders.service.marked]\nrole = \"active\"\nstale_after = \"1s\"\n"));
    primacy_selector *rw = selector_of(p, "rw"), *marked = selector_of(p, "marked");
    struct primacy_backend backend;
    int64_t began = now_ms();
    int i, got;

    backend.size = sizeof backend;
    cycle_of(p, three, PRIMACY_CAUSE_OK, PRIMACY_CAUSE_OK);
    CHECK_CALL(0, primacy_select(rw, NULL, &backend));
    chosen(marked, &backend);
    CHECK(backend.flags == 0);
    /* Nothing turns the engine. */
    while ((got = primacy_select(rw, NULL, &backend)) == 0 && now_ms() - began < 20000)
        poll(NULL, 0, 10);
    CHECK(got == PRIMACY_E_STALE && now_ms() - began >= 900); /* the last turn is known to 10 ms */
    CHECK(check_error_says("stale"));
    /* The mark may come 64 clients late. */
    for (i = 0; i < 65 && chosen(marked, &backend)[0] != '\0' && backend.flags == 0; i++)
        ;
    CHECK(backend.flags == PRIMACY_BACKEND_STALE);
    cycle_of(p, three, PRIMACY_CAUSE_OK, PRIMACY_CAUSE_OK);
    CHECK_CALL(0, primacy_select(rw, NULL, &backend));
    for (i = 0; i < 65 && chosen(marked, &backend)[0] != '\0' && backend.flags != 0; i++)
        ;
    CHECK(backend.flags == 0);
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_selector_free(marked));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void a_forked_child_is_told(void)
{
    primacy_instance *p = settled(THREE(""));
    primacy_selector *rw = selector_of(p, "rw"), *other = NULL;
    struct primacy_backend writer, backend;
    struct primacy_select_options wish = wish_of();
    char text[64];
    int state = -1;
    pid_t child;

    chosen(rw, &writer);
    CHECK_CALL(0, primacy_start(p));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(20);
        check_failed = 0;
        backend.size = sizeof backend;
        CHECK_CALL(PRIMACY_E_FORKED, primacy_select(rw, NULL, &backend));
        CHECK_CALL(PRIMACY_E_FORKED, primacy_select(rw, &wish, &backend));
        CHECK_CALL(PRIMACY_E_FORKED, primacy_release(rw, &writer));
        CHECK_CALL(PRIMACY_E_FORKED, primacy_report(rw, &writer, 0));
        CHECK_CALL(PRIMACY_E_FORKED, primacy_backend_current(rw, &writer));
        CHECK_CALL(PRIMACY_E_FORKED, primacy_node_name(rw, 0, text, sizeof text));
        CHECK_CALL(PRIMACY_E_FORKED, primacy_select_reason(rw, text, sizeof text));
        CHECK_CALL(PRIMACY_E_FORKED, primacy_selector_new(p, "rw", NULL, &other));
        CHECK_CALL(0, primacy_selector_free(rw));
        CHECK_CALL(0, primacy_instance_free(p));
        fflush(stdout);
        _exit(check_failed);
    }
    CHECK(waitpid(child, &state, 0) == child && WIFEXITED(state) && WEXITSTATUS(state) == 0);
    /* The parent notices nothing. */
    CHECK(strcmp(chosen(rw, &backend), A) == 0);
    CHECK_CALL(PRIMACY_SESSION_STAYS, current(rw, &writer));
    CHECK_CALL(0, primacy_selector_free(rw));
    CHECK_CALL(0, primacy_instance_free(p));
}

static primacy_selector *one_at_a_time;
static int busy, done, wrong;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *explain(void *unused)
{
    struct primacy_backend backend;
    struct primacy_select_options wish = wish_of();
    int i;

    (void)unused;
    backend.size = sizeof backend;
    for (i = 0; i < 40; i++) {
        int32_t got = i % 4 == 3 ? primacy_select(one_at_a_time, &wish, &backend)
                                 : primacy_select_reason(one_at_a_time, NULL, 0);
        pthread_mutex_lock(&lock);
        busy += got == PRIMACY_E_BUSY;
        done += got >= 0 || got == PRIMACY_E_NO_BACKEND;
        wrong += got < 0 && got != PRIMACY_E_BUSY && got != PRIMACY_E_NO_BACKEND;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

/* Two threads on one selector: calls that look at more than a node are carried out whole or answer PRIMACY_E_BUSY. */
static void an_overlap_is_answered(void)
{
    static char text[60000];
    pthread_t threads[4];
    primacy_instance *p;
    size_t i, round, at;

    at = (size_t)snprintf(text, sizeof text, "[pool.orders]\nprobe = \"external\"\nnodes = [\n");
    for (i = 0; i < 600; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "{ address = \"10.1.%d.%d\", type = \"secondary\" },\n",
                               (int)(i / 250), (int)(i % 250));
    snprintf(text + at, sizeof text - at, "]\n");
    p = instance_of(text);
    one_at_a_time = selector_of(p, "ro");
    /* Threads that take turns, as valgrind lets them, may miss each other in one round. */
    for (round = 0; round < 10 && busy == 0; round++) {
        for (i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, explain, NULL);
        for (i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
    printf("# %d done, %d busy\n", done, busy);
    CHECK(wrong == 0 && done > 0 && busy > 0);
    CHECK_CALL(0, primacy_selector_free(one_at_a_time));
    CHECK_CALL(0, primacy_instance_free(p));
}

int main(int argc, char **argv)
{
    int fork_too = !(argc == 2 && strcmp(argv[1], "no-fork") == 0);

    RUN(a_backend_is_what_connect_takes);
    RUN(services_are_found_by_name);
    RUN(a_failed_node_ends_its_sessions);
    RUN(a_planned_move_drains);
    RUN(kill_ends_at_once);
    RUN(released_clients_count_no_more);
    RUN(reports_hold_a_node_back_and_one_client_tries);
    RUN(transactions_are_asked_for);
    RUN(what_was_tried_is_avoided);
    RUN(null_and_wrong_handles_are_answered);
    RUN(backends_from_nowhere_are_answered);
    RUN(sizes_and_flags_are_checked);
    RUN(a_stopped_instance_answers);
    RUN(a_service_leaves_and_another_one_of_its_name_comes);
    RUN(a_table_that_nobody_renews_is_told);
    if (fork_too)
        RUN(a_forked_child_is_told);
    RUN(an_overlap_is_answered);
    return check_failures;
}
