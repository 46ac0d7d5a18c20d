//! [`Accounts`]: who may sign in, by the hash of a password. No password is kept or compared as it is.

use std::{collections::BTreeMap, fmt, sync::Arc};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use taskq_core::{Error, ErrorKind, Result};

use super::{
    limits,
    options::{Role, refused},
};

/// People who may sign in.
///
/// ```
/// use taskq_console::dashboard::{Accounts, Role, hash_password};
///
/// # fn main() -> taskq_core::Result<()> {
/// let file = format!("# who may look\nada:operator:{}\n", hash_password("correct horse")?);
/// let accounts = Accounts::read(&file)?;
/// assert_eq!(accounts.check("ada", "correct horse"), Some(Role::Operator));
/// assert_eq!(accounts.check("ada", "wrong horse"), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Accounts {
    people: Arc<BTreeMap<String, (Role, PasswordHash)>>,
    /// What a wrong name is compared with, so that it takes as long as a wrong password.
    nobody: Arc<PasswordHash>,
}

impl Accounts {
    /// Reads lines of the form `name:role:hash`; the role is `viewer` or `operator`, the hash one of
    /// [`hash_password`]. Empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a line of another form, told by its number, and for none at all.
    pub fn read(text: &str) -> Result<Self> {
        let mut people = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line is not shown: it has a hash in it.
            let wrong = |cure: &str| refused("accounts, line", number, cure);
            let mut parts = line.splitn(3, ':');
            let (Some(name), Some(role), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(wrong("write name:role:hash; `dashboard hash-password` makes the hash"));
            };
            if name.is_empty() || name.len() > limits::MAX_PERSON || name.chars().any(char::is_control) {
                return Err(wrong("use a name of 1 to 128 bytes"));
            }
            let role = role.parse().map_err(|_| wrong("use viewer or operator as the role"))?;
            let hash = PasswordHash::new(hash)
                .ok()
                .filter(|hash| hash.algorithm.as_str().starts_with("argon2"))
                .ok_or_else(|| wrong("the hash is none of argon2; `dashboard hash-password` makes one"))?;
            if people.insert(name.to_owned(), (role, hash)).is_some() {
                return Err(wrong("this name has an account already"));
            }
        }
        if people.is_empty() || people.len() > limits::MAX_ACCOUNTS {
            return Err(refused("accounts", people.len(), "name at least one, and not over a thousand"));
        }
        let nobody = PasswordHash::new(&hash_password("nobody knows this one")?).map_err(broken)?;
        Ok(Self { people: Arc::new(people), nobody: Arc::new(nobody) })
    }

    /// The role of somebody, if the password is theirs. It takes tens of milliseconds, whether or not there is such a name.
    pub fn check(&self, name: &str, password: &str) -> Option<Role> {
        let known = self.people.get(name);
        let hash = known.map_or(&*self.nobody, |(_, hash)| hash);
        let is_right = password.len() <= limits::MAX_PASSWORD
            && Argon2::default().verify_password(password.as_bytes(), hash).is_ok();
        known.filter(|_| is_right).map(|(role, _)| *role)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.people.keys()).finish()
    }
}

/// The hash of a password, as [`Accounts::read`] reads it: Argon2id with a random salt.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for an empty or very long password.
pub fn hash_password(password: &str) -> Result<String> {
    if password.is_empty() || password.len() > limits::MAX_PASSWORD {
        let cure = format!("use 1 to {} bytes", limits::MAX_PASSWORD);
        return Err(Error::new(ErrorKind::InvalidInput, "hash", "password").because(cure));
    }
    Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(broken)
}

fn broken(error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Config, "hash", "password").because(error.to_string())
}
