-- /etc/mysql-proxy/primacy.lua: nothing runs in the proxy; an agent elsewhere tells it by MPP commands on the admin port.
return {
    source = "push",
    role = "active",
    max_age = 30,
    stale = "serve",
}
