#include "ferry/demo/site.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/hex.h"

enum { CONFIG_BYTES = 64 * 1024, FILE_NAME_BYTES = 64 };

#define AUTOMATION "6f7a0c1e-2b3d-4c5e-8f90-a1b2c3d4e5f6"

/* The gaps are the broker and, in the order of the text, ports. */
static const char config_format[] = "# Written by `ferry demo`: everything on this machine, all peers are stand-ins.\n"
                                    "kafka:\n"
                                    "  bootstrap.servers: %s\n"
                                    "  session.timeout.ms: 6000\n"
                                    "  fetch.wait.max.ms: 10\n"
                                    "topics: {partitions: 4, replication: 1}\n"
                                    "bridge:\n"
                                    "  listen: 127.0.0.1:%u\n"
                                    "  admin: 127.0.0.1:%u\n"
                                    "  spool: {directory: spool}\n"
                                    "  webhooks:\n"
                                    "    - path: /webhooks/qlik\n"
                                    "      secrets: [{file: webhook-secret}]\n"
                                    "worker: {start: earliest}\n"
                                    "slack:\n"
                                    "  admin: 127.0.0.1:%u\n"
                                    "  routes:\n"
                                    "    - name: new-app\n"
                                    "      events: [app.created]\n"
                                    "      when: .resource.isSessionApp != true\n"
                                    "      webhook: {file: slack-webhook-url}\n"
                                    "      pace: 50/1s\n"
                                    "      text: '*\\(.resource.name)* was created by \\(.userid // \"Qlik\")'\n"
                                    "mail:\n"
                                    "  admin: 127.0.0.1:%u\n"
                                    "  smtp: {url: \"smtp://127.0.0.1:%u\", tls: none}\n"
                                    "  from: Analytics team <no-reply@example.com>\n"
                                    "  recipient_domains: [example.com]\n"
                                    "  routes:\n"
                                    "    - name: welcome\n"
                                    "      events: [user.created]\n"
                                    "      to: .resource.email\n"
                                    "      subject: Welcome to Qlik Cloud, \\(.resource.name)\n"
                                    "      text: |\n"
                                    "        Hello \\(.resource.name),\n"
                                    "\n"
                                    "        your account is ready: sign in with \\(.resource.email).\n"
                                    "      html: <p>Hello \\(.resource.name),</p><p>your account is ready.</p>\n"
                                    "automation:\n"
                                    "  admin: 127.0.0.1:%u\n"
                                    "  routes:\n"
                                    "    - name: offboard\n"
                                    "      events: [user.deleted]\n"
                                    "      qlik:\n"
                                    "        tenant: http://127.0.0.1:%u\n"
                                    "        automation: " AUTOMATION "\n"
                                    "        token: {file: execution-token}\n"
                                    "      input: {user: .resource.id}\n"
                                    "    - name: crm\n"
                                    "      events: [user.deleted]\n"
                                    "      request:\n"
                                    "        method: PATCH\n"
                                    "        url: http://127.0.0.1:%u/users/\\(.resource.id)\n"
                                    "        headers: {Authorization: {file: crm-authorization}}\n"
                                    "        json: {status: '\"inactive\"', left: .time}\n";

/* ---- the directory ---- */

static enum ferry_code make_kept(struct ferry_site *site, const char *keep, struct ferry_error *error)
{
    char *real = mkdir(keep, 0700) == 0 || errno == EEXIST ? realpath(keep, NULL) : NULL;
    if (real == NULL)
        return ferry_fail(error, FERRY_SYSTEM, "cannot make %s: %s", keep, strerror(errno));
    bool fits = strlen(real) + FILE_NAME_BYTES < sizeof site->directory;
    snprintf(site->directory, sizeof site->directory, "%s", fits ? real : "");
    free(real);
    return fits ? FERRY_OK : ferry_fail(error, FERRY_SYSTEM, "the path of %s is too long", keep);
}

static enum ferry_code make_directory(struct ferry_site *site, const char *keep, struct ferry_error *error)
{
    const char *parent = getenv("TMPDIR");
    site->kept = keep != NULL;
    if (keep != NULL)
        return make_kept(site, keep, error);
    snprintf(site->directory, sizeof site->directory, "%s/ferry-demo-XXXXXX",
             parent != NULL && parent[0] == '/' ? parent : "/tmp");
    if (mkdtemp(site->directory) == NULL)
        return ferry_fail(error, FERRY_SYSTEM, "cannot make %s: %s", site->directory, strerror(errno));
    return FERRY_OK;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    remove(path);
    return 0;
}

void ferry_site_close(struct ferry_site *site)
{
    if (site->directory[0] != '\0' && !site->kept)
        nftw(site->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    explicit_bzero(site, sizeof *site);
}

void ferry_site_path(const struct ferry_site *site, const char *name, char path[FERRY_SITE_PATH])
{
    size_t len = strlen(site->directory);
    assert(len + 1 + strlen(name) < FERRY_SITE_PATH);
    memcpy(path, site->directory, len);
    path[len] = '/';
    memcpy(path + len + 1, name, strlen(name) + 1);
}

/* ---- secrets and ports ---- */

static void draw_secret(char out[FERRY_SITE_SECRET])
{
    unsigned char bytes[(FERRY_SITE_SECRET - 1) / 2];
    while (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        continue; /* interrupted */
    ferry_hex_write(bytes, sizeof bytes, out);
}

static int bound_socket(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
                    getsockname(fd, (struct sockaddr *)&address, &len) != 0)) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* All are held until the last is found, so that no two are the same. */
static bool find_ports(uint16_t ports[FERRY_SITE_PORTS])
{
    int fds[FERRY_SITE_PORTS];
    bool found = true;
    for (size_t i = 0; i < FERRY_SITE_PORTS; i++)
        found &= (fds[i] = bound_socket(&ports[i])) >= 0;
    for (size_t i = 0; i < FERRY_SITE_PORTS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return found;
}

enum ferry_code ferry_site_open(struct ferry_site *site, const char *keep, struct ferry_error *error)
{
    struct ferry_site made = {0};
    if (!find_ports(made.ports))
        return ferry_fail(error, FERRY_SYSTEM, "no free port on 127.0.0.1: %s", strerror(errno));
    enum ferry_code code = make_directory(&made, keep, error);
    if (code != FERRY_OK)
        return code;
    draw_secret(made.webhook_secret);
    draw_secret(made.execution_token);
    draw_secret(made.crm_authorization);
    *site = made;
    return FERRY_OK;
}

/* ---- files ---- */

enum ferry_code ferry_site_write(const struct ferry_site *site, const char *name, const char *text,
                                 struct ferry_error *error)
{
    char path[FERRY_SITE_PATH];
    ferry_site_path(site, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    bool written = fd >= 0 && write(fd, text, len) == (ssize_t)len;
    int failure = errno;
    if (fd >= 0 && close(fd) != 0)
        written = false;
    return written ? FERRY_OK : ferry_fail(error, FERRY_SYSTEM, "cannot write %s: %s", path, strerror(failure));
}

enum ferry_code ferry_site_write_config(const struct ferry_site *site, const char *broker, uint16_t stand_ins_port,
                                        uint16_t smtp_port, struct ferry_error *error)
{
    const uint16_t *ports = site->ports;
    char config[CONFIG_BYTES], slack_url[128], spool[FERRY_SITE_PATH];
    snprintf(config, sizeof config, config_format, broker, ports[FERRY_SITE_BRIDGE], ports[FERRY_SITE_BRIDGE_ADMIN],
             ports[FERRY_SITE_SLACK_ADMIN], ports[FERRY_SITE_MAIL_ADMIN], smtp_port, ports[FERRY_SITE_AUTOMATION_ADMIN],
             stand_ins_port, stand_ins_port);
    snprintf(slack_url, sizeof slack_url, "http://127.0.0.1:%u/services/T0DEMO/B0DEMO/incoming", stand_ins_port);
    const struct {
        const char *name;
        const char *text;
    } files[] = {
        {"ferry.yaml", config},
        {"webhook-secret", site->webhook_secret},
        {"execution-token", site->execution_token},
        {"crm-authorization", site->crm_authorization},
        {"slack-webhook-url", slack_url},
    };
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && code == FERRY_OK; i++)
        code = ferry_site_write(site, files[i].name, files[i].text, error);
    ferry_site_path(site, "spool", spool);
    if (code == FERRY_OK && mkdir(spool, 0700) != 0 && errno != EEXIST)
        code = ferry_fail(error, FERRY_SYSTEM, "cannot make %s: %s", spool, strerror(errno));
    return code;
}
