// The Hugging Face tokenizers library through its own Node binding (npm install tokenizers, NODE_PATH=.../node_modules), one text at
// a time on one core. Speaks the language of peer.py: "REPETITIONS WORK ARGUMENTS", answered by the seconds of one repetition.
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const { Tokenizer } = require("tokenizers");

const works = {
  encode(file, text) {
    const tokenizer = Tokenizer.fromFile(file);
    const content = fs.readFileSync(text, "utf8");
    return async () => (await tokenizer.encode(content)).getIds();
  },
  load_and_encode(file, text) {
    const content = fs.readFileSync(text, "utf8");
    return async () => (await Tokenizer.fromFile(file).encode(content)).getIds();
  },
};

async function main() {
  const version = require(path.join(path.dirname(require.resolve("tokenizers")), "package.json")).version;
  console.log(`Hugging Face tokenizers ${version} (Rust, Node binding), one thread`);
  let prepared = {};
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [repetitions, name, ...rest] = line.split(" ");
    const key = [name, ...rest].join(" ");
    prepared = key in prepared ? prepared : { [key]: works[name](...rest) };
    const start = process.hrtime.bigint();
    for (let i = 0; i < Number(repetitions); i++) {
      await prepared[key]();
    }

    console.log(Number(process.hrtime.bigint() - start) / 1e9 / Number(repetitions));
  }
}

main();
