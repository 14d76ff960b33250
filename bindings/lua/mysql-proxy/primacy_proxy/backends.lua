-- The proxy's backends, found by canonical address, and their state, which is all that a script may write.
--
-- The proxy takes a chosen backend only if it is not DOWN, and picks one itself otherwise. It sets DOWN where a
-- connection failed, and calls UNKNOWN what was DOWN for four seconds, also where a script had set it: so the states are
-- asserted anew at each connect.
local address = require("primacy_proxy.address")

local backends = {}

-- Canonical addresses by index, and indices by canonical address; the proxy takes its backends at its start, and no others.
local addresses, places = {}, {}
-- Indices that we have set DOWN.
local ours = {}

local function known()
    local count = #proxy.global.backends
    if count ~= #addresses then
        addresses, places = {}, {}
        for i = 1, count do
            local name = proxy.global.backends[i].dst.name
            addresses[i] = address.canonical(name) or name
            places[addresses[i]] = i
        end
    end
    return addresses
end

-- The canonical address of the backend with this index.
function backends.address(index)
    return known()[index]
end

function backends.count()
    return #known()
end

-- The index of the backend at this canonical address, or nil.
function backends.find(wanted)
    known()
    return places[wanted]
end

-- Sets every backend DOWN that `serves(canonical address)` denies, and takes that back where it holds no more. `chosen`, if
-- there is one, must be tried by the proxy whatever it thinks of it.
function backends.assert_states(serves, chosen)
    for i, at in ipairs(known()) do
        local backend = proxy.global.backends[i]
        if i == chosen then
            if backend.state == proxy.BACKEND_STATE_DOWN then backend.state = proxy.BACKEND_STATE_UNKNOWN end
            ours[i] = nil
        elseif not serves(at) then
            backend.state = proxy.BACKEND_STATE_DOWN
            ours[i] = true
        elseif ours[i] then
            if backend.state == proxy.BACKEND_STATE_DOWN then backend.state = proxy.BACKEND_STATE_UNKNOWN end
            ours[i] = nil
        end
    end
end

local STATES, TYPES

-- Rows of the group `proxy` for one backend.
function backends.show(index, nodename, rows)
    STATES = STATES or {
        [proxy.BACKEND_STATE_UNKNOWN] = "BACKEND_STATE_UNKNOWN",
        [proxy.BACKEND_STATE_UP] = "BACKEND_STATE_UP",
        [proxy.BACKEND_STATE_DOWN] = "BACKEND_STATE_DOWN",
    }
    TYPES = TYPES or {
        [proxy.BACKEND_TYPE_UNKNOWN] = "BACKEND_TYPE_UNKNOWN",
        [proxy.BACKEND_TYPE_RW] = "BACKEND_TYPE_RW",
        [proxy.BACKEND_TYPE_RO] = "BACKEND_TYPE_RO",
    }
    local backend = proxy.global.backends[index]
    rows[#rows + 1] = { nodename, "proxy", "type", TYPES[backend.type] or tostring(backend.type) }
    rows[#rows + 1] = { nodename, "proxy", "state", STATES[backend.state] or tostring(backend.state) }
    rows[#rows + 1] = { nodename, "proxy", "address", backend.dst.name }
    rows[#rows + 1] = { nodename, "proxy", "connected_clients", tostring(backend.connected_clients) }
end

return backends
