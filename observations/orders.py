"""Sentences that read like orders to an agent, in the languages that most of them come in. ◦

It is a net with holes: whoever writes for it finds words that it does not know. What it catches is
what is copied from page to page.
"""

import re
import unicodedata

# Marks of accents, which are left off at will; those of Japanese and Hindi are letters' own.
_ACCENTS = re.compile("[\u0300-\u036f]")

_ENGLISH = (
    r"\b(?:ignore|disregard|forget|override)\b[^.]{0,60}\b(?:instruction|prompt|rule|above"
    r"|previous|prior|context|guideline)",
    r"\bnew instructions?\b",
    r"\bsystem prompt\b",
    r"\bdo not (?:tell|inform|mention to) the user\b",
    r"\byou (?:must|should|shall|have to|need to|are now|will now|are required)\b",
    r"\b(?:assistant|ai|agent|claude|model)[,:]? (?:must|should|shall|please)\b",
    r"^\W*(?:system|assistant|user|human|developer|important|critical|urgent)\s*:",
)
_GERMAN = (
    r"\b(?:ignorier\w*|missacht\w*|vergiss|vergessen sie|uberschreib\w*)\b[^.]{0,60}"
    r"\b(?:anweisung|instruktion|vorgabe|regel|prompt|kontext|obige|vorherige|bisherige)",
    r"\b(?:anweisung|instruktion|vorgabe)(?:en)?\b[^.]{0,40}\b(?:ignorieren|missachten|vergessen)",
    r"\bneuen? (?:anweisung|instruktion)",
    r"\bdu (?:musst|sollst|solltest|darfst|bist (?:jetzt|nun|ab sofort)|wirst (?:jetzt|nun))\b",
    r"\b(?-i:Sie) (?:mussen|sollen|sollten|durfen)\b",
    r"\bdem (?:be)?nutzer\b[^.]{0,20}\bnicht",
    r"\b(?:assistent|ki|agent|claude|modell)[,:]? (?:muss|soll|sollte|bitte)\b",
    r"^\W*(?:wichtig|dringend|achtung|anweisung|nutzer|benutzer|assistent)\s*:",
)
_FRENCH = (
    r"\b(?:ignore[zr]?|oublie[zr]?|ne t(?:iens|enez) pas compte)\b[^.]{0,60}"
    r"\b(?:instruction|consigne|regle|directive|contexte)",
    r"\bnouvelles? (?:instruction|consigne)",
    r"\b(?:tu dois|vous devez|(?:tu es|vous etes) (?:maintenant|desormais))\b",
    r"\bne (?:le )?(?:dis|dites|mentionne[zr]?|signale[zr]?)\b[^.]{0,20}\butilisateur",
    r"\b(?:assistant|ia|agent|claude|modele)[,:]? (?:doit|devrait)\b",
    r"^\W*(?:systeme|utilisateur|attention)\s*:",
)
_SPANISH_ITALIAN_PORTUGUESE = (
    r"\b(?:ignor[ae]|ignorate|olvida|descarta|dimentica|esqueca|desconsidere)\b[^.]{0,60}"
    r"\b(?:instruc|istruzion|instruco|regla|regole|regras|contexto|contesto)",
    r"\b(?:nuevas instrucciones|nuove istruzioni|novas instrucoes)\b",
    r"\b(?:debes|tienes que|usted debe|ahora eres|devi|adesso sei|voce deve|agora voce)\b",
    r"\bno (?:le )?(?:digas|menciones|informes)\b[^.]{0,20}\busuario",
    r"\bnon (?:dire|dirlo|menzionare)\b[^.]{0,20}\butente",
    r"\bnao (?:diga|conte)\b[^.]{0,20}\busuario",
    r"^\W*(?:sistema|usuario|utente|importante|urgente|atencion|attenzione)\s*:",
)
_RUSSIAN = (
    r"(?:игнорируи|забудь|не обращаи)[^.]{0,60}(?:инструкци|указани|правил|предыдущ|контекст)",
    r"новые (?:инструкци|указани)|\bты (?:должен|должна|обязан|теперь)\b|\bвы должны\b",
    r"не (?:говори|сообщаи)[^.]{0,20}пользовател|^\W*(?:система|важно|срочно)\s*:",
)
_CHINESE = (
    "(?:忽略|无视|無視|忽視|忘记|忘記|不要理会)[^。]{0,30}(?:指令|指示|说明|說明|提示|规则|規則|以上|之前|先前|上述)",
    "新的?(?:指令|指示)|(?:系统|系統)提示",
    "(?:你|您)(?:必须|必須|应该|應該|应当|需要|现在是|現在是|务必|務必)",
    "(?:不要|别|別|勿)(?:告诉|告訴|通知)(?:用户|用戶|使用者)",
    r"^\W*(?:系统|系統|重要|紧急|緊急|用户|助手)\s*:",
)
_JAPANESE_KOREAN = (
    "(?:指示|命令|ルール|規則|プロンプト)[^。]{0,12}(?:無視|忘れ)|新しい指示",
    "(?:あなた|君)は[^。]{0,40}(?:なければなりません|なければならない|べきです|必要があります)",
    "ユーザーに(?:は)?(?:言わない|伝えない|知らせない|教えない)",
    "(?:지시|명령|규칙)[^.]{0,12}(?:무시|잊)|사용자에게[^.]{0,12}(?:말하지|알리지)",
)


def reads_like_an_order(sentence: str) -> bool:
    """Whether a sentence tells its reader what to do or to be, rather than what is."""
    return _ORDER.search(_plain(sentence)) is not None


def _plain(text: str) -> str:
    """Letters in their plain form: as wide, styled or accented ones are read."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart))


_ORDER = re.compile(
    "|".join(
        _plain(pattern)
        for language in (
            _ENGLISH, _GERMAN, _FRENCH, _SPANISH_ITALIAN_PORTUGUESE, _RUSSIAN, _CHINESE,
            _JAPANESE_KOREAN,
        )
        for pattern in language
    ),
    re.IGNORECASE,
)  # fmt: skip
