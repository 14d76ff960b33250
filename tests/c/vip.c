/* Floating addresses: an address that this host owns, on the loopback interface of a network of its own, and bad input at every function. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "check.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

static const char *TEXT =
    "[tier]\nhost = \"h1\"\n"
    "[vip.front]\naddresses = [\"10.9.0.101/24\"]\ninterface = \"eth0\"\nvrid = 51\nadvert_interval = \"20ms\"\n";

static void pause_ms(long ms)
{
    struct timespec span;

    span.tv_sec = ms / 1000;
    span.tv_nsec = ms % 1000 * 1000000;
    nanosleep(&span, NULL);
}

static primacy_instance *instance_of(const char *text)
{
    primacy_config *config = NULL;
    primacy_instance *p = NULL;

    CHECK_CALL(0, primacy_config_new(&config));
    CHECK_CALL(0, primacy_config_load_text(config, text, strlen(text), "vip.c"));
    CHECK_CALL(0, primacy_instance_new(config, &p));
    primacy_config_free(config);
    return p;
}

/* Waits until the VIP is at a stage, 20 s at most. */
static int comes_to(primacy_instance *p, int32_t stage, struct primacy_vip *vip)
{
    int i;

    for (i = 0; i < 1000; i++) {
        memset(vip, 0xa5, sizeof *vip);
        vip->size = sizeof *vip;
        if (primacy_vip_get(p, "front", vip) == 0 && vip->stage == stage)
            return 1;
        pause_ms(20);
    }
    printf("# stage %s, score %u, rule %u\n", primacy_vip_stage_name(vip->stage), vip->score, vip->score_rule);
    return 0;
}

static void an_address_is_owned_and_ordered(void)
{
    primacy_instance *p = instance_of(TEXT);
    struct primacy_vip vip;
    char text[8192];
    uint64_t claims;
    int32_t length;

    CHECK_CALL(PRIMACY_E_STATE, primacy_vip_status_json(p, NULL, 0));
    CHECK_CALL(0, primacy_start(p));
    CHECK(comes_to(p, PRIMACY_VIP_HELD, &vip));
    CHECK(vip.owns == 1 && vip.score > 0 && vip.epoch > 0 && vip.highest_epoch >= vip.epoch && vip.claims == 1);
    CHECK(vip.backend == -1 && vip.failures == 0 && vip.barred_ms == 0 && vip.owner_count == 1 && vip.releases == 0);
    CHECK(vip.down_interval_ms > 0 && primacy_rule_text(vip.score_rule, text, sizeof text) > 0);
    CHECK_CALL(2, primacy_vip_owner(p, "front", text, sizeof text));
    CHECK(strcmp(text, "h1") == 0);
    length = primacy_vip_status_json(p, text, sizeof text);
    CHECK(length > 100 && strstr(text, "\"own\":\"h1\"") != NULL && strstr(text, "\"stage\":\"held\"") != NULL);
    CHECK(strcmp(primacy_vip_stage_name(PRIMACY_VIP_HELD), "held") == 0 && strcmp(primacy_vip_stage_name(99), "?") == 0);

    CHECK_CALL(0, primacy_vip_report(p, "front", 0, "the host says no"));
    /* Reports and questions are taken in the order in which they come. */
    CHECK_CALL(0, primacy_vip_get(p, "front", &vip));
    CHECK(vip.local == 0 && vip.failures == 1);
    CHECK_CALL(0, primacy_vip_report(p, "front", 1, NULL));
    CHECK_CALL(0, primacy_vip_clear(p, "front"));
    CHECK_CALL(0, primacy_vip_move(p, "front", "h1"));
    /* Alone and not in order it may have let the address go for whoever comes, and come back. */
    CHECK(comes_to(p, PRIMACY_VIP_HELD, &vip));
    CHECK(vip.local == 1 && vip.failures == 0 && vip.owns == 1);
    claims = vip.claims;

    CHECK_CALL(0, primacy_vip_standby(p, "h1", 1));
    CHECK(comes_to(p, PRIMACY_VIP_ABSENT, &vip));
    CHECK(vip.owns == 0 && vip.score == 0 && vip.releases == claims);
    CHECK_CALL(0, primacy_vip_owner(p, "front", text, sizeof text));
    CHECK_CALL(0, primacy_vip_standby(p, "h1", 0));
    CHECK(comes_to(p, PRIMACY_VIP_HELD, &vip));
    CHECK(vip.claims == claims + 1);

    CHECK_CALL(PRIMACY_E_REFUSED, primacy_vip_move(p, "front", "h2"));
    CHECK(check_error_says("h2"));
    CHECK_CALL(PRIMACY_E_REFUSED, primacy_vip_move(p, "back", "h1"));
    CHECK_CALL(PRIMACY_E_REFUSED, primacy_vip_standby(p, "h2", 1));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_clear(p, "back"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_report(p, "back", 1, NULL));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_owner(p, "back", NULL, 0));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_get(p, "back", &vip));
    CHECK(check_error_says("front"));
    CHECK_CALL(0, primacy_stop(p));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_vip_move(p, "front", "h1"));
    primacy_instance_free(p);
}

static void bad_input_is_answered(void)
{
    primacy_instance *p = check_instance(), *q = instance_of(TEXT);
    primacy_config *config = NULL;
    void *wrong;
    struct primacy_vip vip;
    char text[64];

    memset(&vip, 0, sizeof vip);
    vip.size = sizeof vip;
    /* An instance without a VIP. */
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_status_json(p, NULL, 0));
    CHECK(check_error_says("[vip.NAME]"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_get(p, "front", &vip));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_owner(p, "front", text, sizeof text));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_move(p, "front", "h1"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_clear(p, "front"));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_standby(p, "h1", 1));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_vip_report(p, "front", 1, ""));
    /* One that is not started. */
    CHECK_CALL(PRIMACY_E_STATE, primacy_vip_get(q, "front", &vip));
    CHECK_CALL(PRIMACY_E_STATE, primacy_vip_move(q, "front", "h1"));
    CHECK_CALL(PRIMACY_E_STATE, primacy_vip_report(q, "front", 1, NULL));
    /* NULL, other handles, numbers that are no truth, text that is none. */
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_status_json(NULL, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_get(NULL, "front", &vip));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_owner(NULL, "front", NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_move(NULL, "front", "h1"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_clear(NULL, "front"));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_standby(NULL, "h1", 1));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_report(NULL, "front", 1, NULL));
    CHECK_CALL(0, primacy_config_new(&config));
    wrong = config;
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_status_json(wrong, NULL, 0));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_vip_move(wrong, "front", "h1"));
    primacy_config_free(config);
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_status_json(q, NULL, 9));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_owner(q, "front", NULL, 9));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_owner(q, NULL, text, sizeof text));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_get(q, NULL, &vip));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_get(q, "front", NULL));
    vip.size = sizeof vip - 1;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_vip_get(q, "front", &vip));
    vip.size = 0;
    CHECK_CALL(PRIMACY_E_SIZE, primacy_vip_get(q, "front", &vip));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_move(q, NULL, "h1"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_move(q, "front", NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_move(q, "front", "\xff"));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_clear(q, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_standby(q, NULL, 1));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_standby(q, "h1", 2));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_report(q, NULL, 1, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_report(q, "front", -1, NULL));
    CHECK_CALL(PRIMACY_E_INVALID, primacy_vip_report(q, "front", 1, "\xc3"));
    primacy_instance_free(p);
    primacy_instance_free(q);
}

/* A network of this process alone, with a link that has a carrier. */
static int own_network(void)
{
    return unshare(CLONE_NEWNET) == 0 && system("ip link set lo up && ip link add eth0 type veth peer name eth1 && ip link set eth0 up && "
                                                "ip link set eth1 up && ip addr add 10.9.0.1/24 dev eth0") == 0;
}

int main(void)
{
    if (!own_network()) {
        printf("not ok vip: no network namespace could be made; run this as root\n");
        return 1;
    }
    RUN(an_address_is_owned_and_ordered);
    RUN(bad_input_is_answered);
    return check_failures;
}
