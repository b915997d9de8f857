// Says what is wrong before forty test files say it badly: the dependencies need Node 22.19 or newer.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `Node ${process.versions.node} is too old; 22.19 or newer is needed. Run \`npm ci\` (it installs one) and start through npm scripts.`,
  );
  process.exit(1);
}
