#!/bin/sh
# Makes the folder secrets/ for compose.yml: a password for each user of Redis, the programs' URLs, and Grafana's password.
# What is there stays: to change all passwords, move the folder away and run this again.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
    echo "error: secrets/ is there; nothing was changed. Move it away to get new passwords" >&2
    exit 1
fi

# Hexadecimal, so that nothing in a URL has to be escaped.
new_password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
sha256() { printf %s "$1" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d ' ' -f 1; }

umask 077
mkdir secrets.new
cp ../redis/users.acl secrets.new/users.acl
# Password of a user, put into the list of users by its hash alone.
password_of() {
    password=$(new_password)
    sed "s/^user $1 on PASSWORD /user $1 on #$(sha256 "$password") /" secrets.new/users.acl > secrets.new/users
    mv secrets.new/users secrets.new/users.acl
    printf %s "$password"
}

password_of admin > secrets.new/redis-admin-password
for role in producer worker scheduler viewer; do
    password=$(password_of "shop-$role")
    echo "TASKQ__BROKER__URL=redis://shop-$role:$password@redis:6379" > "secrets.new/$role.env"
done
new_password > secrets.new/grafana-password
: > secrets.new/accounts

# The containers' users are others than yours. Only you can enter the folder, and only root can mount what is in it.
chmod 644 secrets.new/users.acl secrets.new/accounts secrets.new/grafana-password
mv secrets.new secrets
echo "made secrets/; now write who may see the dashboard into secrets/accounts (docs/dashboard.md)"
