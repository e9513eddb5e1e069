//! `DaveMember` and `EpochKeys`.

use std::sync::{Arc, Mutex};

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use raccall_e2ee::Member;

// Named after the package where people import it from.
create_exception!(raccall.voice.e2ee, DaveError, PyValueError);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DaveError", module.py().get_type::<DaveError>())?;
    module.add("DAVE_PROTOCOL_VERSION", raccall_e2ee::PROTOCOL_VERSION.get())?;
    module.add_class::<DaveMember>()?;
    module.add_class::<EpochKeys>()
}

fn refused(py: Python<'_>, error: &raccall_e2ee::DaveError) -> PyErr {
    let raised = DaveError::new_err(error.to_string());
    match raised.value(py).setattr("code", error.reason.code()) {
        Ok(()) => raised,
        Err(other) => other,
    }
}

#[pyclass(frozen, module = "raccall._native")]
struct DaveMember(Mutex<Member>);

#[pymethods]
impl DaveMember {
    #[new]
    #[pyo3(signature = (user_id, channel_id, identity_key = None))]
    fn new(py: Python<'_>, user_id: u64, channel_id: u64, identity_key: Option<&[u8]>) -> PyResult<Self> {
        let member = Member::new(user_id, channel_id, identity_key).map_err(|error| refused(py, &error))?;
        Ok(Self(Mutex::new(member)))
    }

    fn identity_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.read(py, |member| member.identity_key().to_vec()))
    }

    #[getter]
    fn user_id(&self, py: Python<'_>) -> u64 {
        self.read(py, Member::user_id)
    }

    fn set_external_sender(&self, py: Python<'_>, external_sender: &[u8]) -> PyResult<()> {
        self.run(py, |member| member.set_external_sender(external_sender))
    }

    fn key_package<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.run(py, Member::key_package)?))
    }

    #[pyo3(signature = (body, expected_user_ids = None))]
    fn process_proposals<'py>(
        &self,
        py: Python<'py>,
        body: &[u8],
        expected_user_ids: Option<Vec<u64>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let answer = self.run(py, |member| member.process_proposals(body, expected_user_ids.as_deref()))?;
        Ok(answer.map(|answer| PyBytes::new(py, &answer)))
    }

    fn process_commit(&self, py: Python<'_>, commit: &[u8]) -> PyResult<bool> {
        self.run(py, |member| member.process_commit(commit))
    }

    #[pyo3(signature = (welcome, recognized = None))]
    fn process_welcome(&self, py: Python<'_>, welcome: &[u8], recognized: Option<Vec<u64>>) -> PyResult<()> {
        self.run(py, |member| member.process_welcome(welcome, recognized.as_deref()))
    }

    #[getter]
    fn epoch(&self, py: Python<'_>) -> Option<u64> {
        self.read(py, Member::epoch)
    }

    fn roster<'py>(&self, py: Python<'py>) -> Vec<(u64, Bound<'py, PyBytes>)> {
        let roster = self.read(py, Member::roster);
        roster.into_iter().map(|(user_id, key)| (user_id, PyBytes::new(py, &key))).collect()
    }

    fn verification_code(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |member| member.verification_code())
    }

    fn fingerprint(&self, py: Python<'_>, user_id: u64) -> PyResult<String> {
        self.run(py, |member| member.fingerprint(user_id))
    }

    fn keys(&self, py: Python<'_>) -> PyResult<EpochKeys> {
        Ok(EpochKeys(Arc::new(self.run(py, |member| member.keys())?)))
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, Member::reset)
    }
}

impl DaveMember {
    /// Without the GIL: MLS takes its time.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Member) -> Result<T, raccall_e2ee::DaveError> + Send,
    ) -> PyResult<T> {
        py.detach(|| work(&mut self.0.lock().expect(NO_PANIC))).map_err(|error| refused(py, &error))
    }

    fn read<T: Send>(&self, py: Python<'_>, look: impl FnOnce(&Member) -> T + Send) -> T {
        py.detach(|| look(&self.0.lock().expect(NO_PANIC)))
    }
}

const NO_PANIC: &str = "the handshake does not panic";

#[pyclass(frozen, module = "raccall._native")]
pub struct EpochKeys(pub Arc<raccall_e2ee::EpochKeys>);

#[pymethods]
impl EpochKeys {
    #[getter]
    fn epoch(&self) -> u64 {
        self.0.epoch()
    }

    #[getter]
    fn own_user_id(&self) -> u64 {
        self.0.own_user_id()
    }

    #[getter]
    fn user_ids(&self) -> Vec<u64> {
        self.0.user_ids().collect()
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}
