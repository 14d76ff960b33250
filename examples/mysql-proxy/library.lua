-- /etc/mysql-proxy/primacy.lua: the library runs in the proxy, probes, decides and selects.
return {
    source = "library",
    config = "/etc/primacy/primacy.toml",
    service = "orders.rw",
}
