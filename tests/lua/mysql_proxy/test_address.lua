local harness = require("harness")
local test, equal = harness.test, harness.equal
local canonical = require("primacy_proxy.address").canonical

-- Every spelling of one address, after its canonical text.
local SPELLINGS = {
    { "10.0.1.11:3306", "10.0.1.11", "[::ffff:10.0.1.11]:3306", "[::FFFF:a00:10b]", "[0:0:0:0:0:ffff:10.0.1.11]" },
    { "[2001:db8::12]:3306", "[2001:DB8::12]", "[2001:0db8:0:0:0:0:0:12]:3306", "[2001:db8::0.0.0.18]" },
    { "[::1]:3307", "[0:0:0:0:0:0:0:1]:3307" },
    { "[::]:3306", "[::]" },
    { "[2001:db8:0:1:1:1:1:1]:3306", "[2001:db8:0000:1:1:1:1:1]" },
    { "[2001:0:0:1::1]:3306", "[2001:0:0:1:0:0:0:1]" },
    { "[2001:db8::1:0:0:1]:3306", "[2001:db8:0:0:1:0:0:1]" },
    { "db1.example:3306", "DB1.example", "db1.Example.:3306" },
    { "unix:/run/mysqld/a.sock", "/run/mysqld/a.sock", "UNIX:/run//mysqld/./a.sock" },
}

test("every spelling of an address comes to the same text", function()
    for _, spellings in ipairs(SPELLINGS) do
        for _, spelling in ipairs(spellings) do equal(canonical(spelling), spellings[1], spelling) end
    end
end)

test("what is no address is refused with the reason", function()
    for _, text in ipairs({
        "", "10.0.1:3306", "010.0.1.11", "10.0.1.256", "1.2.3.4.5", "a:0", "a:65536", "a:x", "a:", ":3306", "2001:db8::1", "[2001:db8::1",
        "[2001:db8::1]x", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1::2::3]", "[::1]:", "[12345::]", "[]", "unix:a", "a b", "-a", "[fe80::1%eth0]",
    }) do
        local made, problem = canonical(text)
        equal(made, nil, text)
        harness.says(problem, "")
    end
end)
