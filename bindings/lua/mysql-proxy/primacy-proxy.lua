-- Primacy for MySQL Proxy 0.8: --proxy-lua-script=primacy-proxy.lua, with --lua-path=.../?.lua for the modules beside it.
-- docs/mysql-proxy.md tells what it does and how it is set up.
--
-- The proxy runs this file anew for each connection, in an environment of its own: `session` is that connection's.
local session = require("primacy_proxy.session").new()

function connect_server() return session:connect_server() end
function read_handshake() return session:read_handshake() end
function read_auth() return session:read_auth() end
function read_auth_result(auth) return session:read_auth_result(auth) end
function read_query(packet) return session:read_query(packet) end
function disconnect_client() return session:disconnect_client() end
