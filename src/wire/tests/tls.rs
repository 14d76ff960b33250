//! Where TLS begins, what must not pass before it, and what may pass only inside.

use super::*;

const CLIENT_SSL: u8 = 0x08;

fn wanting(encryption: Encryption) -> Client {
    let config = ClientConfig { encryption, rsa: RsaPolicy::Refuse, ..config("", Transport::Plain) };
    Client::new(config, SEED)
}

/// The recorded MySQL 9.7 greets with TLS on; `offers` false takes the capability away.
fn greeting(offers: bool) -> Vec<u8> {
    greeting_with(|payload| {
        let flags = payload.iter().position(|&b| b == 0).unwrap() + 1 + 4 + 8 + 1 + 1;
        assert_ne!(payload[flags] & CLIENT_SSL, 0, "the recorded server offers TLS");
        if !offers {
            payload[flags] &= !CLIENT_SSL;
        }
    })
}

fn up(encryption: Encryption) -> Client {
    let mut client = wanting(encryption);
    client.handle_bytes(&greeting(true)).unwrap();
    assert_eq!(client.phase(), Phase::StartingTls);
    client.poll_transmit().unwrap();
    assert_eq!(client.poll_answer(), Some(Answer::StartTls));
    client.handle_tls_up().unwrap();
    client
}

#[test]
fn the_request_is_the_short_half_of_the_response() {
    for encryption in [Encryption::IfOffered, Encryption::Always] {
        let mut client = wanting(encryption);
        client.handle_bytes(&greeting(true)).unwrap();
        let request = client.poll_transmit().unwrap().to_vec();
        // Protocol::SSLRequest: flags 4, largest packet 4, character set 1, 23 zeros; packet number 1.
        assert_eq!((&request[..4], request.len()), (&[32, 0, 0, 1][..], 36));
        assert_eq!(request[5] & 0x08, 0x08, "CLIENT_SSL is bit 11");
        assert_eq!(&request[8..12], (1u32 << 20).to_le_bytes());
        assert_eq!((request[12], &request[13..]), (45, &[0; 23][..]));
        assert_eq!(client.poll_answer(), Some(Answer::StartTls));
        assert_eq!(client.poll_answer(), None);
        assert_eq!(client.poll_transmit(), None);
        client.handle_tls_up().unwrap();
        let response = client.poll_transmit().unwrap().to_vec();
        assert_eq!(response[3], 2, "the next packet number");
        assert_eq!(response[4..8], request[4..8], "the same flags");
        assert_eq!(response[12], 45, "the same character set");
        assert!(response.windows(8).any(|w| w == b"primacy\0"));
        assert_eq!(client.phase(), Phase::Authenticating);
        // A second notice changes nothing.
        client.handle_tls_up().unwrap();
        assert_eq!(client.poll_transmit(), None);
    }
}

#[test]
fn only_a_missing_offer_leads_back_to_plain() {
    let mut client = wanting(Encryption::IfOffered);
    client.handle_bytes(&greeting(false)).unwrap();
    assert_eq!(client.phase(), Phase::Authenticating);
    assert_eq!(client.poll_transmit().unwrap()[5] & 0x08, 0, "no CLIENT_SSL");
    let mut client = wanting(Encryption::Always);
    let error = client.handle_bytes(&greeting(false)).unwrap_err();
    assert_eq!(
        (error.kind, client.phase(), client.poll_transmit()),
        (WireErrorKind::Tls, Phase::Closed, None)
    );
    assert!(error.message.contains("does not offer TLS"), "{error}");
    let mut client = wanting(Encryption::Off);
    client.handle_bytes(&greeting(true)).unwrap();
    assert_eq!((client.phase(), client.poll_answer()), (Phase::Authenticating, None));
    let unix = ClientConfig { encryption: Encryption::Always, ..config("", Transport::Unix) };
    let mut client = Client::new(unix, SEED);
    client.handle_bytes(&greeting(true)).unwrap();
    assert_eq!(client.phase(), Phase::Authenticating, "a unix socket has no need of it");
}

#[test]
fn nothing_in_clear_counts_as_said_inside() {
    let mut ok = Vec::new();
    push_frame(&mut ok, 2, &[0, 0, 0, 2, 0, 0, 0]);
    for injected in [&ok[..], &ok[..1]] {
        // In one piece with the greeting, and after it.
        for joined in [true, false] {
            let mut client = wanting(Encryption::Always);
            let end = match joined {
                true => client.handle_bytes(&[&greeting(true), injected].concat()),
                false => {
                    client.handle_bytes(&greeting(true)).unwrap();
                    client.handle_bytes(injected)
                }
            };
            let error = end.unwrap_err();
            assert_eq!((error.kind, client.phase()), (WireErrorKind::Violation, Phase::Closed));
            assert!(error.message.contains("in clear"), "{error}");
            client.handle_tls_up().unwrap();
            assert_eq!(client.phase(), Phase::Closed);
        }
    }
    let mut client = wanting(Encryption::Always);
    client.handle_bytes(&greeting(true)).unwrap();
    assert_eq!(client.handle_eof().unwrap_err().kind, WireErrorKind::Tls);
}

#[test]
fn inside_tls_the_password_itself_may_go_out() {
    // caching_sha2_password, not in the server's cache.
    let mut client = up(Encryption::IfOffered);
    client.poll_transmit().unwrap();
    say(&mut client, 3, &switch("caching_sha2_password")).unwrap();
    assert_eq!(&say(&mut client, 5, &[1, 4]).unwrap().unwrap()[4..], b"s3cret\0");
    // sha256_password asks at once.
    let mut client = up(Encryption::Always);
    client.poll_transmit().unwrap();
    assert_eq!(&say(&mut client, 3, &switch("sha256_password")).unwrap().unwrap()[4..], b"s3cret\0");
    // After a new connection all of this is forgotten.
    client.reconnect(SEED);
    client.handle_bytes(&greeting(true)).unwrap();
    assert_eq!(client.phase(), Phase::StartingTls);
    // What a server must not have, not even here.
    let mut client = up(Encryption::Always);
    let error = say(&mut client, 3, &switch("mysql_clear_password")).unwrap_err();
    assert_eq!(error.kind, WireErrorKind::Login);
}

#[test]
fn sha256_password_without_tls() {
    let expected = hex(std::str::from_utf8(&data("rsa-2048-s3cret.hex")).unwrap());
    let pem = data("rsa-2048-pkcs8.pem");
    for transport in [Transport::Plain, Transport::Unix] {
        let with = |rsa| authenticating(ClientConfig { rsa, ..config("", transport) });
        let mut client = with(RsaPolicy::Key(pem.clone()));
        assert_eq!(&say(&mut client, 2, &switch("sha256_password")).unwrap().unwrap()[4..], expected);
        let mut client = with(RsaPolicy::FromServer);
        assert_eq!(&say(&mut client, 2, &switch("sha256_password")).unwrap().unwrap()[4..], [1]);
        let sent = say(&mut client, 4, &[&[1], &pem[..]].concat()).unwrap().unwrap();
        assert_eq!(&sent[4..], expected);
        let mut client = with(RsaPolicy::Refuse);
        let end = say(&mut client, 2, &switch("sha256_password"));
        match transport {
            // The server takes no unix socket for private, but its key cannot be another's there.
            Transport::Unix => assert_eq!(&end.unwrap().unwrap()[4..], [1]),
            Transport::Plain => assert!(end.unwrap_err().message.contains("rsa_public_key")),
        }
    }
    let nobody = ClientConfig { password: None, rsa: RsaPolicy::Refuse, ..config("", Transport::Plain) };
    let mut client = authenticating(nobody);
    assert_eq!(&say(&mut client, 2, &switch("sha256_password")).unwrap().unwrap()[4..], [0]);
}

#[test]
fn ed25519_signs_the_nonce() {
    // Computed by Python's integers and hashlib from RFC 8032, 5.1, with SHA-512 of the password as the expanded key.
    let expected = "4487b512fc7926fd3dcf447e5f581da2ef85db58b00aa97d6ffac49eecba20fa\
                    81ce59be18d98d85c819d915bc0fb4ddd4294115f488771cc4c6c0d4f5558103";
    let nonce: Vec<u8> = (1..=32).collect();
    let request = [b"\xFEclient_ed25519\0", &nonce[..]].concat();
    let mut client = authenticating(config("", Transport::Plain));
    assert_eq!(&say(&mut client, 2, &request).unwrap().unwrap()[4..], hex(expected));
    let short = say(&mut authenticating(config("", Transport::Plain)), 2, &request[..request.len() - 1]);
    assert_eq!(short.unwrap_err().kind, WireErrorKind::Violation);
    // As the server's default, with the greeting's nonce of another length: the first answer is another plugin's.
    let greeting = greeting_with(|payload| {
        let at = payload.windows(SHA2.len()).position(|w| w == SHA2).unwrap();
        payload.splice(at..at + SHA2.len(), *b"client_ed25519");
    });
    let mut client = Client::new(config("", Transport::Plain), SEED);
    client.handle_bytes(&greeting).unwrap();
    let response = client.poll_transmit().unwrap();
    assert!(response.windows(21).any(|w| w == b"mysql_native_password"));
}

const SHA2: &[u8] = b"caching_sha2_password";
