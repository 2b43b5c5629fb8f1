//! OpenSSL's library as the plugins for S/MIME need it: without its configuration file.
//!
//! That file (`/etc/ssl/openssl.cnf`, or what `OPENSSL_CONF` names) can load modules from disk and take algorithms away. It is read when
//! the library first needs something, which could be in a worker, where no file can be opened any more.
//!
//! Must never: be called after a first use of the library; then it changes nothing.

use std::ffi::{c_int, c_void};

// It links the library.
use openssl_sys as _;

/// `OPENSSL_INIT_NO_LOAD_CONFIG`: openssl/crypto.h has had this number since OpenSSL 1.1.0.
const NO_LOAD_CONFIG: u64 = 0x80;

unsafe extern "C" {
    fn OPENSSL_init_crypto(options: u64, settings: *const c_void) -> c_int;
}

/// To be called at the start of the program.
pub fn without_configuration() {
    // SAFETY: it takes a number, and no settings are allowed; it may be called at any time, once or often.
    unsafe {
        OPENSSL_init_crypto(NO_LOAD_CONFIG, std::ptr::null());
    }
}
