//! TLS, SASL, who may do what.

use crate::config::setting::{settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::BrokerConfig;

const NO_TLS: &str = "TLS is not served yet: clients connect by PLAINTEXT alone";
const NO_SASL: &str = "SASL is not served yet: clients connect by PLAINTEXT alone";
const NO_TOKENS: &str = "delegation tokens are not served yet";
const NO_ACLS: &str = "there is no authorizer yet: everybody who can connect may do everything";

settings! {
    pub const SECURITY for BrokerConfig;

    "authorizer.class.name": String "", Any, ReadOnly, Refused(NO_ACLS),
        "The Java class that decides who may do what.";
    "super.users": String, Any, ReadOnly, Refused(NO_ACLS),
        "Who may do everything.";
    "allow.everyone.if.no.acl.found": Boolean, Any, ReadOnly, Refused(NO_ACLS),
        "Whether everybody may use what has no ACL.";
    "principal.builder.class": Class "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Any, PerBroker, Refused("Java classes are not loaded"),
        "The Java class that names clients.";
    "security.providers": String, Any, ReadOnly, Refused("Java classes are not loaded"),
        "Java classes of security algorithms.";
    "delegation.token.expiry.check.interval.ms": Long "3600000", AtLeast(1), ReadOnly, Refused(NO_TOKENS),
        "Time between two looks for tokens that have expired.";
    "delegation.token.expiry.time.ms": Long "86400000", AtLeast(1), ReadOnly, Refused(NO_TOKENS),
        "How long a token holds unless it is renewed.";
    "delegation.token.max.lifetime.ms": Long "604800000", AtLeast(1), ReadOnly, Refused(NO_TOKENS),
        "How long a token holds at most.";
    "delegation.token.secret.key": Password, Any, ReadOnly, Refused(NO_TOKENS),
        "The key that tokens are made with.";
    "ssl.allow.dn.changes": Boolean "false", Any, ReadOnly, Refused(NO_TLS),
        "Whether a new certificate may have another distinguished name.";
    "ssl.allow.san.changes": Boolean "false", Any, ReadOnly, Refused(NO_TLS),
        "Whether a new certificate may have other alternative names.";
    "ssl.cipher.suites": List "", Any, PerBroker, Refused(NO_TLS),
        "Cipher suites that are allowed.";
    "ssl.client.auth": String "none", OneOf(&["required", "requested", "none"]), PerBroker, Refused(NO_TLS),
        "Whether clients have to show a certificate.";
    "ssl.enabled.protocols": List "TLSv1.2,TLSv1.3", Any, PerBroker, Refused(NO_TLS),
        "Versions of TLS that are allowed.";
    "ssl.endpoint.identification.algorithm": String "https", Any, PerBroker, Refused(NO_TLS),
        "How a server's name is compared with its certificate.";
    "ssl.engine.factory.class": Class, Any, PerBroker, Refused(NO_TLS),
        "The Java class that makes TLS engines.";
    "ssl.key.password": Password, Any, PerBroker, Refused(NO_TLS),
        "Password of the private key.";
    "ssl.keymanager.algorithm": String "SunX509", Any, PerBroker, Refused(NO_TLS),
        "Java's algorithm for key managers.";
    "ssl.keystore.certificate.chain": Password, Any, PerBroker, Refused(NO_TLS),
        "The certificate and those that signed it.";
    "ssl.keystore.key": Password, Any, PerBroker, Refused(NO_TLS),
        "The private key.";
    "ssl.keystore.location": String, Any, PerBroker, Refused(NO_TLS),
        "File with the private key and certificate.";
    "ssl.keystore.password": Password, Any, PerBroker, Refused(NO_TLS),
        "Password of that file.";
    "ssl.keystore.type": String "JKS", Any, PerBroker, Refused(NO_TLS),
        "Format of that file.";
    "ssl.principal.mapping.rules": String "DEFAULT", Any, ReadOnly, Refused(NO_TLS),
        "How a certificate's name becomes a user's name.";
    "ssl.protocol": String "TLSv1.3", Any, PerBroker, Refused(NO_TLS),
        "The version of TLS that contexts are made with.";
    "ssl.provider": String, Any, PerBroker, Refused(NO_TLS),
        "Java's provider of TLS.";
    "ssl.secure.random.implementation": String, Any, PerBroker, Refused(NO_TLS),
        "Java's source of random numbers for TLS.";
    "ssl.trustmanager.algorithm": String "PKIX", Any, PerBroker, Refused(NO_TLS),
        "Java's algorithm for trust managers.";
    "ssl.truststore.certificates": Password, Any, PerBroker, Refused(NO_TLS),
        "Certificates that are trusted.";
    "ssl.truststore.location": String, Any, PerBroker, Refused(NO_TLS),
        "File with certificates that are trusted.";
    "ssl.truststore.password": Password, Any, PerBroker, Refused(NO_TLS),
        "Password of that file.";
    "ssl.truststore.type": String "JKS", Any, PerBroker, Refused(NO_TLS),
        "Format of that file.";
    "sasl.client.callback.handler.class": Class, Any, ReadOnly, Refused(NO_SASL),
        "The Java class that answers a SASL client's questions.";
    "sasl.enabled.mechanisms": List "GSSAPI", Any, PerBroker, Refused(NO_SASL),
        "SASL mechanisms that are served.";
    "sasl.jaas.config": Password, Any, PerBroker, Refused(NO_SASL),
        "Who may log in, and how, in JAAS form.";
    "sasl.kerberos.kinit.cmd": String "/usr/bin/kinit", Any, PerBroker, Refused(NO_SASL),
        "Path of kinit.";
    "sasl.kerberos.min.time.before.relogin": Long "60000", Any, PerBroker, Refused(NO_SASL),
        "Wait between two logins with Kerberos.";
    "sasl.kerberos.principal.to.local.rules": List "DEFAULT", Any, PerBroker, Refused(NO_SASL),
        "How a Kerberos principal becomes a user's name.";
    "sasl.kerberos.service.name": String, Any, PerBroker, Refused(NO_SASL),
        "Kerberos name of the service.";
    "sasl.kerberos.ticket.renew.jitter": Double "0.05", Any, PerBroker, Refused(NO_SASL),
        "Spread of the time at which tickets are renewed.";
    "sasl.kerberos.ticket.renew.window.factor": Double "0.8", Any, PerBroker, Refused(NO_SASL),
        "Part of a ticket's life after which it is renewed.";
    "sasl.login.callback.handler.class": Class, Any, ReadOnly, Refused(NO_SASL),
        "The Java class that answers a login's questions.";
    "sasl.login.class": Class, Any, ReadOnly, Refused(NO_SASL),
        "The Java class that logs in.";
    "sasl.login.connect.timeout.ms": Int, Any, ReadOnly, Refused(NO_SASL),
        "How long a connection to the identity provider may take.";
    "sasl.login.read.timeout.ms": Int, Any, ReadOnly, Refused(NO_SASL),
        "How long an answer of the identity provider may take.";
    "sasl.login.refresh.buffer.seconds": Short "300", Any, PerBroker, Refused(NO_SASL),
        "Time before its end at which a login is renewed at the latest.";
    "sasl.login.refresh.min.period.seconds": Short "60", Any, PerBroker, Refused(NO_SASL),
        "Least time between two renewals of a login.";
    "sasl.login.refresh.window.factor": Double "0.8", Any, PerBroker, Refused(NO_SASL),
        "Part of a login's life after which it is renewed.";
    "sasl.login.refresh.window.jitter": Double "0.05", Any, PerBroker, Refused(NO_SASL),
        "Spread of the time at which logins are renewed.";
    "sasl.login.retry.backoff.max.ms": Long "10000", Any, ReadOnly, Refused(NO_SASL),
        "Longest wait between two tries to log in.";
    "sasl.login.retry.backoff.ms": Long "100", Any, ReadOnly, Refused(NO_SASL),
        "First wait between two tries to log in.";
    "sasl.mechanism.controller.protocol": String "GSSAPI", Any, ReadOnly, Refused(NO_SASL),
        "The SASL mechanism between broker and controller.";
    "sasl.mechanism.inter.broker.protocol": String "GSSAPI", Any, PerBroker, Refused(NO_SASL),
        "The SASL mechanism between brokers.";
    "sasl.oauthbearer.assertion.algorithm": String "RS256", AnyCase(&["ES256", "RS256"]), ReadOnly, Refused(NO_SASL),
        "How assertions for the identity provider are signed.";
    "sasl.oauthbearer.assertion.claim.aud": String, Any, ReadOnly, Refused(NO_SASL),
        "Whom assertions are for.";
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int "300", Between(0, 86_400), ReadOnly, Refused(NO_SASL),
        "How long assertions hold.";
    "sasl.oauthbearer.assertion.claim.iss": String, Any, ReadOnly, Refused(NO_SASL),
        "Who issues assertions.";
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean "false", Any, ReadOnly, Refused(NO_SASL),
        "Whether assertions have ids.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int "60", Between(0, 3_600), ReadOnly, Refused(NO_SASL),
        "How far back assertions hold.";
    "sasl.oauthbearer.assertion.claim.sub": String, Any, ReadOnly, Refused(NO_SASL),
        "Whom assertions are about.";
    "sasl.oauthbearer.assertion.file": String, Any, ReadOnly, Refused(NO_SASL),
        "File with an assertion that was made before.";
    "sasl.oauthbearer.assertion.private.key.file": String, Any, ReadOnly, Refused(NO_SASL),
        "File with the key that signs assertions.";
    "sasl.oauthbearer.assertion.private.key.passphrase": Password, Any, ReadOnly, Refused(NO_SASL),
        "Password of that key.";
    "sasl.oauthbearer.assertion.template.file": String, Any, ReadOnly, Refused(NO_SASL),
        "File with what assertions hold.";
    "sasl.oauthbearer.client.credentials.client.id": String, Any, ReadOnly, Refused(NO_SASL),
        "The client's id at the identity provider.";
    "sasl.oauthbearer.client.credentials.client.secret": Password, Any, ReadOnly, Refused(NO_SASL),
        "The client's secret there.";
    "sasl.oauthbearer.clock.skew.seconds": Int "30", Any, ReadOnly, Refused(NO_SASL),
        "How far clocks may be apart.";
    "sasl.oauthbearer.expected.audience": List, Any, ReadOnly, Refused(NO_SASL),
        "Whom tokens have to be for.";
    "sasl.oauthbearer.expected.issuer": String, Any, ReadOnly, Refused(NO_SASL),
        "Who has to have issued tokens.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long "3600000", Any, ReadOnly, Refused(NO_SASL),
        "Time between two fetches of the provider's keys.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long "10000", Any, ReadOnly, Refused(NO_SASL),
        "Longest wait between two tries to fetch keys.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long "100", Any, ReadOnly, Refused(NO_SASL),
        "First wait between two tries to fetch keys.";
    "sasl.oauthbearer.jwks.endpoint.url": String, Any, ReadOnly, Refused(NO_SASL),
        "Where the provider's keys are.";
    "sasl.oauthbearer.jwt.retriever.class": Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Any, ReadOnly, Refused(NO_SASL),
        "The Java class that gets tokens.";
    "sasl.oauthbearer.jwt.validator.class": Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Any, ReadOnly, Refused(NO_SASL),
        "The Java class that checks tokens.";
    "sasl.oauthbearer.scope": String, Any, ReadOnly, Refused(NO_SASL),
        "What a token is asked for.";
    "sasl.oauthbearer.scope.claim.name": String "scope", Any, ReadOnly, Refused(NO_SASL),
        "Name of the claim with the scope.";
    "sasl.oauthbearer.sub.claim.name": String "sub", Any, ReadOnly, Refused(NO_SASL),
        "Name of the claim with the subject.";
    "sasl.oauthbearer.token.endpoint.url": String, Any, ReadOnly, Refused(NO_SASL),
        "Where tokens are issued.";
    "sasl.server.callback.handler.class": Class, Any, ReadOnly, Refused(NO_SASL),
        "The Java class that checks what SASL clients say.";
    "sasl.server.max.receive.size": Int "524288", Any, ReadOnly, Refused(NO_SASL),
        "Largest message before a client is authenticated.";
}
