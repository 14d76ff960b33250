-- The one source of all connections and of the admin plugin, made when it is first asked for. (The proxy has one Lua state;
-- what a module holds lives as long as the proxy.)
--
-- A source answers: select(tried), stays(choice), serves(address), report(choice, outcome), release(choice); and for
-- MPP's commands: nodes(), name_of(address), show(name, rows), initialize(name, type), set(name, element, value).
local settings = require("primacy_proxy.settings")

local source = {}

local checked, made

function source.settings()
    checked = checked or settings.load()
    return checked
end

function source.get()
    if not made then
        local kind = source.settings().source == "push" and "primacy_proxy.pushed" or "primacy_proxy.library"
        made = require(kind).new(checked)
    end
    return made
end

-- For tests: what to use from now on.
function source.use(other_settings, other_source)
    checked, made = other_settings, other_source
end

return source
