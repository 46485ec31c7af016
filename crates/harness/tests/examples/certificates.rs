//! An operator that gets certificates for 90 days from the cluster, keeps each in a secret, and must renew it in time.
//!
//! Its sense of time is handed to it: in life `Timestamp::now`, here the clock of the world. Its waits are tokio's and travel
//! by themselves.

use std::{sync::Arc, time::Duration};

use chronoplane::{
    ControlPlane, Manifests, SignedDuration, Wall,
    k8s_openapi::{
        ByteString,
        api::{
            certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec},
            core::v1::Secret,
        },
    },
};
use futures::StreamExt;
use kube::{
    Api, Client, CustomResource, ResourceExt,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{
        Controller,
        controller::Action,
        wait::{Condition, await_condition},
        watcher,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const DAY: Duration = Duration::from_secs(86_400);
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// So long before its end a certificate is renewed.
const LEEWAY: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(group = "example.com", version = "v1", kind = "Login", namespaced)]
struct LoginSpec {
    user: String,
}

/// The current time, from wherever.
type Now = Arc<dyn Fn() -> Wall + Send + Sync>;

struct Operator {
    client: Client,
    now: Now,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("no certificate: {0}")]
    Issuing(String),
}

/// When the certificate in a secret ends.
fn not_after(secret: &Secret) -> Option<Wall> {
    let pem = secret.data.as_ref()?.get("tls.crt")?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem.0).ok()?;
    Wall::from_second(pem.parse_x509().ok()?.validity().not_after.timestamp()).ok()
}

async fn reconcile(login: Arc<Login>, operator: Arc<Operator>) -> Result<Action, Failed> {
    let secrets: Api<Secret> =
        Api::namespaced(operator.client.clone(), &login.namespace().unwrap_or_default());
    let held = secrets.get_opt(&login.name_any()).await?.as_ref().and_then(not_after);
    let renewal = match held.map(|ends| ends - LEEWAY) {
        Some(renewal) if (operator.now)() < renewal => renewal,
        _ => {
            let secret = operator.issue(&login).await?;
            let apply = PatchParams::apply("logins").force();
            secrets.patch(&login.name_any(), &apply, &Patch::Apply(&secret)).await?;
            let ends =
                not_after(&secret).ok_or_else(|| Failed::Issuing("the answer is no certificate".into()))?;
            ends - LEEWAY
        }
    };
    let wait = renewal.duration_since((operator.now)());
    Ok(Action::requeue(wait.try_into().unwrap_or_default()))
}

impl Operator {
    /// A new key, and a certificate for it from the cluster's signer.
    async fn issue(&self, login: &Login) -> Result<Secret, Failed> {
        let wrong = |e: rcgen::Error| Failed::Issuing(e.to_string());
        let key = rcgen::KeyPair::generate().map_err(wrong)?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, login.spec.user.clone());
        let request = params.serialize_request(&key).and_then(|request| request.pem()).map_err(wrong)?;

        let requests: Api<CertificateSigningRequest> = Api::all(self.client.clone());
        let asked = CertificateSigningRequest {
            metadata: ObjectMeta { generate_name: Some("login-".into()), ..ObjectMeta::default() },
            spec: CertificateSigningRequestSpec {
                request: ByteString(request.into_bytes()),
                signer_name: "kubernetes.io/kube-apiserver-client".into(),
                usages: Some(vec!["client auth".into()]),
                expiration_seconds: Some(LIFE.as_secs() as i32),
                ..CertificateSigningRequestSpec::default()
            },
            status: None,
        };
        let name = requests.create(&PostParams::default(), &asked).await?.name_any();
        let approved = json!([{"type": "Approved", "status": "True", "reason": "Login"}]);
        let approval = Patch::Merge(json!({"status": {"conditions": approved}}));
        requests.patch_approval(&name, &PatchParams::default(), &approval).await?;
        let signed = await_condition(requests, &name, is_signed())
            .await
            .map_err(|e| Failed::Issuing(e.to_string()))?;
        let certificate = signed.and_then(|request| request.status?.certificate);
        let certificate = certificate.ok_or_else(|| Failed::Issuing(format!("{name} is gone")))?;
        Ok(Secret {
            metadata: ObjectMeta { name: Some(login.name_any()), ..ObjectMeta::default() },
            data: Some(
                [
                    ("tls.crt".into(), certificate),
                    ("tls.key".into(), ByteString(key.serialize_pem().into_bytes())),
                ]
                .into(),
            ),
            ..Secret::default()
        })
    }
}

fn is_signed() -> impl Condition<CertificateSigningRequest> {
    |request: Option<&CertificateSigningRequest>| {
        request.is_some_and(|r| r.status.as_ref().is_some_and(|status| status.certificate.is_some()))
    }
}

async fn run(operator: Operator) {
    Controller::new(Api::<Login>::all(operator.client.clone()), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(5)), Arc::new(operator))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// A plane with one login and its operator; the operator's task, the clock, and the secrets.
async fn begin(plane: &ControlPlane) -> (tokio::task::JoinHandle<()>, Now, Api<Secret>) {
    let client = plane.client().unwrap();
    plane.apply(&Manifests::crd::<Login>().unwrap()).await.unwrap();
    let clock = plane.host().clock().clone();
    let now: Now = Arc::new(move || clock.wall());
    let operator = tokio::spawn(run(Operator { client: client.clone(), now: now.clone() }));
    let login = Login::new("jane", LoginSpec { user: "jane".into() });
    let logins: Api<Login> = Api::default_namespaced(client.clone());
    logins.create(&PostParams::default(), &login).await.unwrap();
    plane.wait_for("secret/jane", "create").await.unwrap();
    (operator, now, Api::default_namespaced(client))
}

#[chronoplane::test(controllers, sparse)]
async fn a_login_never_ends_while_its_operator_lives(plane: ControlPlane) {
    let (_operator, now, secrets) = begin(&plane).await;
    let mut certificates = std::collections::BTreeSet::new();
    for day in 0..65 {
        let ends = not_after(&secrets.get("jane").await.unwrap()).unwrap();
        assert!(now() + SignedDuration::from_hours(29 * 24) < ends, "on day {day} it ends at {ends}");
        certificates.insert(ends);
        plane.elapse(DAY).await.unwrap();
    }
    // One for the beginning, and one after 60 days.
    assert_eq!(certificates.len(), 2, "{certificates:?}");
}

/// The control: what the test above would see if nobody renewed.
#[chronoplane::test(controllers, sparse)]
async fn without_its_operator_a_login_ends_after_ninety_days(plane: ControlPlane) {
    let (operator, now, secrets) = begin(&plane).await;
    operator.abort();
    let ends = not_after(&secrets.get("jane").await.unwrap()).unwrap();
    plane.elapse(LIFE - DAY).await.unwrap();
    assert!(now() < ends);
    plane.elapse(DAY).await.unwrap();
    assert!(now() > ends);
    assert_eq!(not_after(&secrets.get("jane").await.unwrap()), Some(ends), "nobody has renewed it");
}
